"""The Score page: what can be scored, what it will take, what is refused; and one upload from the zip to Explore."""

import fcntl
import io
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page
from streamlit.testing.v1 import AppTest

from negrefine_core import jobs, overrides, paths, pipeline
from negrefine_core.benchmarks.datasets import dataset
from negrefine_core.cache import CachedEncoder
from negrefine_core.encoder import OpenClipEncoder
from negrefine_core.errors import NegRefineError
from negrefine_core.image_sets import open_image_set
from negrefine_core.jobs import Evaluate, Job, Progress, Score, Spec, Speed
from negrefine_core.labels import read_class_list
from negrefine_core.records import Negative
from negrefine_core.runs import Role, Run, Settings, remove_image_set
from tests.support.app_driver import at, query, settled, texts
from tests.support.browser import expect_text, expect_url, say, served
from tests.support.jobs import until
from tests.support.miniatures import write_miniature
from tests.support.pictures import huge_png, png, write_pictures, zipped
from tests.support.runs import WORDS, refined_run, write_run

pytestmark = pytest.mark.usefixtures("no_jobs_left")


@pytest.fixture(scope="module")
def run(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = refined_run("scoring", tiny_model)
    run.update_info(model={"name": "tiny", "fingerprint": "0123456789abcdef"})
    return run


@pytest.fixture
def no_jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of jobs without any."""
    monkeypatch.setattr(jobs.queue, "JOBS", tmp_path / "jobs")
    return tmp_path / "jobs"


def score_page(**wanted: str) -> AppTest:
    app = at("score", **{"run": "scoring"} | wanted)
    assert not app.exception
    return app


def ended(state: str, run: Run, error: str = "", speeds: tuple[Speed, ...] = ()) -> Job:
    """A job's folder as its worker left it."""
    job = Job(jobs.queue.JOBS / "0000000000000000001-made")
    job.folder.mkdir(parents=True)
    steps = (Score(image_set="pets", folder="/pets", role="OOD"), Evaluate())
    (job.folder / "job.json").write_text(Spec(title="Score pets", run=run.name, steps=steps).model_dump_json())
    job.write(
        Progress(
            state, 1.0, "cpu", ended=time.time(), messages=("5 images of pets scored",), error=error, speeds=speeds
        )
    )  # type: ignore[arg-type]
    return job


@pytest.mark.parametrize("page", ["explore", "review", "image", "compare"])
def test_a_page_of_a_run_that_is_being_made_says_how_far_that_is(page: str, run: Run, no_jobs: Path) -> None:
    Run.create("unmade", run.settings, ["cat", "dog"])
    job = ended("running", run)
    (job.folder / "job.json").write_text(Spec(title="Make it", run="unmade", steps=(jobs.Mine(),)).model_dump_json())
    of_step = {"step": "Mining the negatives", "number": 1, "unit": "prompts", "done": 70, "total": 100, "rate": 0.5}
    job.write(replace(job.progress, **of_step, share=0.59, eta=200.0, ended=None))
    with (job.folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as its worker does
        app = at(page, run="unmade")
        assert not app.exception
        assert not app.error
        assert "This run is still being made" in texts(app)
        assert "Mining the negatives" in texts(app)
        (bar,) = app.get("progress")
        told = "59% · 70 of 100 prompts · 0.5 prompts a second · about 3 min left"  # the bar is the whole job's
        assert (bar.proto.value, bar.proto.text) == (59, told)
        assert "1 job running, 59%: Make it" in [e.proto.label for e in app.sidebar if e.type == "page_link"]
    assert "step 'mine' first" in texts(at("review", run="unmade"))  # nobody makes it: what to do


def test_an_empty_run_says_what_to_do_first_and_chooses_nothing(run: Run, no_jobs: Path) -> None:
    app = score_page()
    assert "No pictures are scored yet. Choose some above" in texts(app)
    assert not [button for button in app.button if button.key == "score_start"]


def test_bundled_sets_are_counted_and_timed_by_arithmetic_then_by_earlier_scorings(run: Run, no_jobs: Path) -> None:
    app = score_page()
    app = settled(app.button_group(key="score_bundled").set_value(["plants", "vehicles"]).run())
    assert re.search(r"About 1 s: [\d,]+ images a second .* by the model’s arithmetic", texts(app))  # not in the list
    assert "About 0.9 GB of memory: 5 million weights and 64 images at once." in texts(app)
    ended("done", run, speeds=(Speed("0123456789abcdef", 100, 100, 2.0, 500_000_000),))
    app.run()
    assert "At most about 1 s: 50 images a second and 0.5 GB of memory" in texts(app)
    assert "5 images of pets scored" in texts(app)


def test_a_model_of_which_nothing_is_known_is_said_to_be_one(no_jobs: Path) -> None:
    app = score_page(run=refined_run("elsewhere", "hf-hub:nobody/nothing").name)
    app = settled(app.button_group(key="score_bundled").set_value(["plants"]).run())
    assert "is not known here yet: the first ones will tell." in texts(app)
    assert "of memory" not in texts(app)


def test_few_labels_are_said_before_scoring_and_beside_the_scores(run: Run, no_jobs: Path, tmp_path: Path) -> None:
    few = write_run("few-labels", paths.RUNS, tmp_path)
    few.write_negatives([Negative("rust", "noun", 0.1)])
    note = "1 negative, fewer than 100 groups: scored as one group. 1 negative, fewer than 5: multi-matching pairs all"
    app = score_page(run="few-labels")
    app.button_group(key="score_bundled").set_value(["plants"]).run()
    assert note in texts(app)
    assert note in texts(at("explore", run="few-labels"))
    app = score_page()
    app.button_group(key="score_bundled").set_value(["plants"]).run()
    assert "Few labels" not in texts(app)


def test_other_pictures_do_not_replace_scores_under_their_name(run: Run, no_jobs: Path, tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    made = write_run("colliding", paths.RUNS, tmp_path / "first")
    made.write_negatives([Negative("rust", "noun", 0.1)])
    other = write_pictures(tmp_path / "second" / "food", 3, 0)
    app = score_page(run="colliding", source="server")
    app.text_input(key="score_folder").set_value(str(other)).run()
    assert "scores of other pictures under the name 'food'" in app.error[0].value
    assert not [button for button in app.button if button.key == "score_start"]
    app.text_input(key="score_folder").set_value(str(tmp_path / "first" / "food")).run()
    assert "replaced by the new scores: food" in texts(app)
    assert [button for button in app.button if button.key == "score_start"]


def test_a_finished_job_is_told_of_for_a_while_and_a_failed_one_until_the_next(run: Run, no_jobs: Path) -> None:
    job = ended("done", run)
    assert "5 images of pets scored" in texts(score_page())
    job.write(replace(job.progress, ended=time.time() - 3600))
    assert "5 images of pets scored" not in texts(score_page())
    job.write(replace(job.progress, state="failed", error="no disk"))
    assert "no disk" in texts(score_page())


def test_a_set_is_removed_with_its_uploaded_pictures_and_nothing_else(
    run: Run, no_jobs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Spec] = []
    monkeypatch.setattr(jobs, "start", started.append)
    made = write_run("removing", paths.RUNS, tmp_path)
    made.write_negatives([Negative("rust", "noun", 0.1)])
    uploaded = made.path("images") / "pets"
    write_pictures(uploaded, 2, 0)
    made.write_scores("pets", uploaded, made.scores("food").head(2))
    app = score_page(run="removing")
    app.selectbox(key="remove_set").set_value("pets").run()
    assert "uploaded pictures are deleted" in texts(app)
    app = app.button(key="remove").click().run()
    assert not app.exception
    assert made.scored_sets == ["animals", "food"]
    assert not uploaded.exists()
    assert len(list((tmp_path / "food").rglob("*.png"))) == 30
    assert "pets" not in made.info.image_sets
    assert [step.step for spec in started for step in spec.steps] == ["evaluate"]
    with pytest.raises(NegRefineError, match="no scores of 'pets'"):
        remove_image_set(made, "pets")


def test_a_folder_of_the_server_is_counted_with_its_classes(run: Run, no_jobs: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 6, classes=("cat", "dog"))
    app = score_page(source="server")
    app.text_input(key="score_folder").set_value(str(tmp_path / "photos")).run()
    assert "6 pictures in 2 class folders" in texts(app)
    assert app.text_input(key="score_name_photos").value == "photos"
    assert app.button(key="score_start")


@pytest.mark.parametrize(
    ("folder", "message"),
    [("photos", "is not a whole path"), ("/no/such", "no folder"), ("/proc/self/fdinfo", "no images under"),
     ("/etc/hostname", "this is a file")],
)  # fmt: skip
def test_a_folder_that_cannot_be_is_named(folder: str, message: str, run: Run, no_jobs: Path) -> None:
    app = score_page(source="server")
    app.text_input(key="score_folder").set_value(folder).run()
    assert message in app.error[0].value
    assert not [button for button in app.button if button.key == "score_start"]


HOSTILE = {
    "a zip that climbs out of its folder": ("a.zip", lambda: zipped({"../../../out.png": png()}), "outside its folder"),
    "a zip bomb": ("a.zip", lambda: zipped({"a.png": bytes(60 * 1024**2)}), "zip bomb"),
    "a zip of 10,000 files": ("a.zip", lambda: zipped({f"{i}.png": b"" for i in range(10_000)}), "10,000 files"),
    "a text file": ("a.png", lambda: io.BytesIO(b"hello"), "not a picture"),
    "900 million pixels": ("a.png", lambda: io.BytesIO(huge_png()), "too large"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_upload_is_refused_with_a_message_and_starts_nothing(kind: str, run: Run, no_jobs: Path) -> None:
    name, content, message = HOSTILE[kind]
    before = set(paths.DATA.rglob("*"))
    app = score_page(source="files")
    uploaded = content().getvalue()
    app.file_uploader[0].upload(name, uploaded).run()
    if app.radio:  # else it was refused before anything is unpacked
        app.file_uploader[0].upload(name, uploaded)  # AppTest forgets it after each run
        app.radio[0].set_value("unknown").run()
        app.file_uploader[0].upload(name, uploaded)
        app.button(key="score_start").click().run()
    assert not app.exception
    assert message in app.error[0].value
    assert not jobs.all_jobs()
    assert {path for path in paths.DATA.rglob("*") if path.is_file()} - before == set()


@pytest.mark.parametrize(
    ("state", "words", "button"),
    [("failed", "failed: no weights", "Try again"), ("running", "was interrupted", "Resume")],
)
def test_a_job_that_did_not_end_well_says_so_and_can_be_resumed(
    state: str, words: str, button: str, run: Run, no_jobs: Path
) -> None:
    job = ended(state, run, error="no weights")
    app = score_page()
    assert words in "".join(element.value for element in [*app.error, *app.warning])
    assert app.button(key=f"resume_{job.id}").label == button


def test_every_other_page_says_in_its_sidebar_that_a_job_is_running(
    run: Run, no_jobs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended("running", run)
    monkeypatch.setattr(Job, "is_alive", True)
    app = at("score", run="scoring")
    links = [element.proto.label for element in app.sidebar if element.type == "page_link"]
    assert links == ["1 job running: Score pets"]
    assert app.button(key="cancel_0000000000000000001-made")


@pytest.mark.slow
def test_after_an_override_everything_is_scored_again_with_one_click(
    tiny_model: str, encoder: OpenClipEncoder, tmp_path: Path
) -> None:
    run = refined_run("scored-again", tiny_model)
    roles: dict[str, Role] = {"inside": "ID", "outside": "OOD"}
    for name, role in roles.items():
        root = write_pictures(tmp_path / name, 3, first_seed=7 * (role == "ID"))
        pipeline.score(run, CachedEncoder(encoder), [open_image_set(root, name)])
        run.set_role(name, role)
    before = run.scores("inside")
    write_pictures(tmp_path / "inside", 5, first_seed=7)  # two more: the run's own pictures stay the same
    app = score_page(run="scored-again")
    assert "score again to see what that changed" not in texts(app)
    overrides.override(run, ["rust", "paris"], "dropped", "me")
    app.run()
    assert "score again to see what that changed" in texts(app)
    app.button(key="score_again").click().run()
    job = next(job for job in jobs.all_jobs() if job.spec.run == "scored-again")
    until(lambda: job.state not in jobs.ACTIVE)
    assert job.state == "done", job.error
    assert job.progress.messages[-1] == "metrics of inside against outside"
    assert (run.scores("inside")["csp"] == before["csp"]).all()
    assert (run.scores("inside")["neglabel"] != before["neglabel"]).all()
    app.run()
    assert "score again to see what that changed" not in texts(app)


# --- the paper's image sets ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ImageNet, which ImageNet-10 is drawn from, and SUN; all the others are missing."""
    root = tmp_path_factory.mktemp("datasets")
    write_miniature(dataset("imagenet-10"), "drawn", root)
    write_miniature(dataset("sun"), "flat:SUN/images", root, seed=50)
    return root


@pytest.fixture(scope="module")
def ten_classes(tiny_model: str) -> Run:
    run = Run.create("ten-classes", Settings(model=tiny_model, n_groups=2), read_class_list("imagenet-10").labels)
    run.write_initial_negatives([Negative(word, "noun", 0.1) for word in WORDS])
    run.write_negatives(run.initial_negatives)
    return run


def benchmarks(root: object, **wanted: str) -> AppTest:
    """The page's benchmark sets, once they are counted."""
    app = score_page(source="benchmark", root=str(root), **wanted)
    return settled(app, lambda app: "Counting the pictures" not in texts(app))


@pytest.mark.slow
def test_benchmark_sets_are_scored_in_their_roles_and_again_with_their_own_pictures(
    ten_classes: Run, datasets: Path
) -> None:
    app = benchmarks(datasets, run="ten-classes")
    assert "**3 of 22** image sets are here" in texts(app)
    table = app.dataframe[0].value.set_index("Image set")
    assert table.loc["ImageNet-10", ["State", "Images", "Published"]].tolist() == ["incomplete", 3, "500"]
    assert "7 of 10 class folders are missing" in table.loc["ImageNet-10", "Problem"]
    assert f"expected {datasets}/NINCO/NINCO_OOD_classes" in table.loc["NINCO", "Problem"]
    assert table.loc["NINCO", ["State", "Licence"]].tolist() == ["missing", "CC BY 4.0"]
    assert "images of ImageNet classes" in table.loc["SUN (MOS's 10,000)", "What to know"]
    assert app.selectbox(key="score_benchmark_id").value == "imagenet-10"  # whose classes the run has
    app.button_group(key="score_benchmark_ood").set_value(["sun"]).run()
    assert "**sun** holds images of ImageNet classes" in texts(app)
    assert not app.warning
    app.button(key="score_start").click().run()
    job = jobs.all_jobs()[0]
    until(lambda: job.state not in jobs.ACTIVE)
    assert job.state == "done", job.error
    assert ten_classes.image_root("imagenet-10") == datasets / "imagenet" / "val"
    assert [len(ten_classes.scores(name)) for name in ("imagenet-10", "sun")] == [3, 3]  # of the folder's five
    assert (ten_classes.id_sets, ten_classes.metrics["id_set"]) == (["imagenet-10"], "imagenet-10")
    app.run()
    app.button(key="score_again").click().run()
    assert jobs.all_jobs()[0].spec.steps[0] == Score(image_set="imagenet-10", same_as="ten-classes")


def test_sets_that_make_the_figures_mean_little_are_warned_of(
    run: Run, ten_classes: Run, datasets: Path, no_jobs: Path
) -> None:
    app = benchmarks(datasets)
    assert app.selectbox(key="score_benchmark_id").value == ""
    app.selectbox(key="score_benchmark_id").set_value("imagenet-10").run()
    assert "The run’s 6 ID classes are not those of ImageNet" in app.warning[0].value
    app = benchmarks(datasets, run="ten-classes")
    app.button_group(key="score_benchmark_ood").set_value(["imagenet", "sun"]).run()
    (warning,) = app.warning
    assert "has 10 of the ID classes too" in warning.value


def test_the_experiments_say_which_sets_they_lack(run: Run, datasets: Path, no_jobs: Path) -> None:
    table = benchmarks(datasets).dataframe[1].value.set_index("Experiment")
    assert table.loc["ImageNet-20 against ImageNet-10", "State"] == "lacks imagenet-20"
    assert table.loc["ImageNet-1K", "State"].startswith("lacks inaturalist, openimage-o")
    assert f"benchmark imagenet-20 --root '{datasets}'" in table.loc["ImageNet-20 against ImageNet-10", "Command"]


def test_without_image_sets_the_page_says_where_they_are_expected(run: Run, no_jobs: Path, tmp_path: Path) -> None:
    app = benchmarks("")
    table = app.dataframe[0].value
    assert set(table["State"]) == {"missing"}
    assert f"expected in {paths.DATA / 'datasets' / 'imagenet' / 'val'}" in table["Problem"].tolist()
    assert "Download one, or type the folder" in texts(app)
    app.text_input(key="pick_root").set_value(str(tmp_path / "nowhere")).run()
    assert query(app)["root"] == str(tmp_path / "nowhere")
    assert "give the one that holds the image sets" in app.error[0].value
    app.text_input(key="pick_root").set_value("datasets").run()
    assert "is not a whole path" in app.error[0].value


# --- what they show -------------------------------------------------------------------------------------------------


def start_button(app: AppTest) -> bool:
    """Whether scoring can be started."""
    (button,) = (button for button in app.button if button.key == "score_start")
    return not button.disabled


def test_nothing_is_preset_and_scoring_starts_only_once_it_is_said_what_each_set_shows(
    run: Run, no_jobs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Spec] = []
    monkeypatch.setattr(jobs, "start", started.append)
    app = score_page()
    app.button_group(key="score_bundled").set_value(["animals", "vehicles"]).run()
    assert [radio.value for radio in app.radio] == [None, None]
    assert "Say what animals, vehicles show to start." in texts(app)
    assert not start_button(app)
    app.radio[0].set_value("ID").run()
    assert "Say what vehicles shows to start." in texts(app)
    app.radio[1].set_value("unknown").run()
    assert start_button(app)
    app.button(key="score_start").click().run()
    roles = [step.role for step in started[0].steps if isinstance(step, Score)]
    assert roles == ["ID", "unknown"]


def test_what_was_said_of_the_same_pictures_before_is_still_said(no_jobs: Path, tmp_path: Path) -> None:
    made = write_run("said-before", paths.RUNS, tmp_path)
    made.write_negatives([Negative("rust", "noun", 0.1)])
    app = score_page(run="said-before", source="server")
    app.text_input(key="score_folder").set_value(str(tmp_path / "food")).run()
    assert app.radio[0].value == "OOD"


def test_class_folders_are_proposed_as_id_by_name_and_every_folder_gets_a_role_of_its_own(
    run: Run, no_jobs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Spec] = []
    monkeypatch.setattr(jobs, "start", started.append)
    root = write_pictures(tmp_path / "mixed", 8, classes=("cat", "Dog", "boats", "trip"))
    write_pictures(root, 1, first_seed=30)
    app = score_page(source="server")
    app.text_input(key="score_folder").set_value(str(root)).run()
    names = [radio.label.split("”")[0][1:] for radio in app.radio]
    assert names == ["mixed named after classes", "mixed in no folder", "mixed boats", "mixed trip"]
    assert "2 folders are named after your classes: Dog, cat. ID by name?" in texts(app)
    assert [radio.value for radio in app.radio] == [None] * 4
    for radio, role in zip(app.radio, ("ID", "unknown", "OOD", "unknown"), strict=True):
        radio.set_value(role)
    app.run().button(key="score_start").click().run()
    steps = [step for step in started[0].steps if isinstance(step, Score)]
    assert [(step.class_folders, step.role) for step in steps] == [
        (("Dog", "cat"), "ID"), (("",), "unknown"), (("boats",), "OOD"), (("trip",), "unknown"),
    ]  # fmt: skip
    found = [open_image_set(step.folder, step.image_set).only(step.class_folders) for step in steps]
    assert [len(images) for images in found] == [4, 1, 2, 2]


def test_a_role_that_is_said_again_computes_the_figures_anew_and_back_to_unknown_takes_them_away(
    no_jobs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Spec] = []
    monkeypatch.setattr(jobs, "start", started.append)
    made = write_run("resaid", paths.RUNS, tmp_path)
    made.write_negatives([Negative("rust", "noun", 0.1)])
    made.write_scores("trip", tmp_path / "trip", made.scores("food"))
    app = score_page(run="resaid")
    assert app.dataframe[0].value.set_index("Image set")["Shows"].to_dict() == {
        "animals": "ID", "food": "OOD", "trip": "nobody knows",
    }  # fmt: skip
    assert app.selectbox(key="role_set_resaid").value == "trip"
    app.radio(key="role_of_set_resaid_trip").set_value("OOD").run()
    assert made.ood_sets == ["food", "trip"]
    assert [step.step for spec in started for step in spec.steps] == ["evaluate"]
    app.selectbox(key="role_set_resaid").set_value("food").run()
    app.radio(key="role_of_set_resaid_food").set_value("unknown").run()
    assert (made.ood_sets, made.unknown_sets) == (["trip"], ["food"])
    assert not made.path("metrics.json").exists(), "they took it for OOD"


# --- in a browser ----------------------------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.slow
def test_an_uploaded_zip_is_scored_through_a_reload_a_cancel_and_a_resume(
    run: Run, page: Page, address: str, tmp_path: Path
) -> None:
    animals = zipped({f"zoo/{kind}/{i}.png": png(i) for i in range(4) for kind in ("cat", "dog")})
    (tmp_path / "zoo.zip").write_bytes(animals.getvalue())
    spoons = {f"{i}.png": png(50 + i) for i in range(5)} | {"text.png": b"hello"}
    (tmp_path / "spoons.zip").write_bytes(zipped(spoons).getvalue())
    page.goto(f"{address}/?run=scoring")
    expect_text(page, "has no scored pictures yet")
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Score").click()
    page.get_by_role("radio", name="Upload files or a zip").click()
    expect_url(page, "source=files")

    page.locator("input[type=file]").set_input_files(tmp_path / "zoo.zip")
    say(page, "My ID classes")
    page.get_by_role("button", name="Start scoring").click()
    page.get_by_role("button", name="Cancel").wait_for()
    page.reload()
    expect_text(page, r"1 job running(, \d+%)?: Score zoo")
    page.get_by_role("button", name="Cancel").click()
    expect_text(page, "Score zoo was cancelled")
    page.get_by_role("button", name="Resume").click()
    expect_text(page, r"is done: 8 images of zoo scored")

    page.locator("input[type=file]").set_input_files(tmp_path / "spoons.zip")
    say(page, "Something else (OOD)")
    page.get_by_role("button", name="Start scoring").click()
    expect_text(page, r"5 images of spoons scored, 1 skipped as unreadable; metrics of zoo against spoons")
    page.get_by_role("link", name="See the images in Explore").click()
    expect_text(page, r"1 – 13 of 13 images")
    assert sorted(path.name for path in run.path("images").iterdir()) == ["spoons", "zoo"]
    assert run.metrics["images"] == {"zoo": 8, "spoons": 5}
    until(lambda: not jobs.active())
    assert list(run.skipped["path"]) == ["text.png"]


@pytest.mark.browser
@pytest.mark.slow
def test_an_uploaded_folder_is_scored_while_the_server_is_started_anew(run: Run, page: Page, tmp_path: Path) -> None:
    for i in range(6):
        file = tmp_path / "garden" / ("rose", "tulip")[i % 2] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(90 + i))
    with served() as address:
        page.goto(f"{address}/score?run=scoring&source=directory")
        page.locator("input[type=file]").set_input_files(tmp_path / "garden")
        say(page, "I don’t know: sort them for me")
        page.get_by_role("button", name="Start scoring").click()
        page.get_by_role("button", name="Cancel").wait_for()
        (job,) = jobs.active()
    assert job.is_alive  # the server is gone
    with served() as address:
        page.goto(f"{address}/score?run=scoring")
        expect_text(page, "6 images of garden scored")
    assert set(run.scores("garden")["class"]) == {"rose", "tulip"}


@pytest.mark.browser
def test_a_role_chosen_in_the_same_moment_as_the_start_is_the_role_that_is_scored(
    tiny_model: str, page: Page, address: str, tmp_path: Path
) -> None:
    run = refined_run("at-once", tiny_model)
    for name, first in (("spoons", 50), ("zoo", 0)):
        (tmp_path / f"{name}.zip").write_bytes(zipped({f"{i}.png": png(first + i) for i in range(5)}).getvalue())
    page.goto(f"{address}/score?run=at-once&source=files")
    page.locator("input[type=file]").set_input_files(tmp_path / "spoons.zip")
    say(page, "Something else (OOD)")
    page.get_by_role("button", name="Start scoring").click()
    expect_text(page, r"is done: 5 images of spoons scored")

    page.locator("input[type=file]").set_input_files(tmp_path / "zoo.zip")
    say(page, "Something else (OOD)")
    role = page.get_by_text("My ID classes", exact=True).first
    start = page.get_by_role("button", name="Start scoring")
    role.evaluate("(role, start) => { role.click(); start.click() }", start.element_handle())
    expect_text(page, r"5 images of zoo scored; metrics of zoo against spoons")
    assert run.id_sets == ["zoo"]
    assert run.metrics["id_set"] == "zoo"
    assert run.metrics["images"] == {"zoo": 5, "spoons": 5}
