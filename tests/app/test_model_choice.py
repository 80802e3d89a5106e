"""The choice of a model, its download as a job, and the toy that is named one where pictures of one's own meet it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from PIL import Image
from streamlit.testing.v1 import AppTest

from negrefine_core import jobs, paths, weights
from negrefine_core.encoder import pick_device
from negrefine_core.models import MODELS, TEXTS
from negrefine_core.runs import Run, Settings
from tests.support.app_driver import at, settled, texts
from tests.support.hub import Hub, hub
from tests.support.runs import write_run

REPOSITORY = "somebody/tiny"

pytestmark = pytest.mark.usefixtures("no_jobs_left")


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    made = Run.create("choosing", Settings(), ["cat", "dog"])
    yield made
    shutil.rmtree(made.folder)


@pytest.fixture
def online(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that answers, here and in the jobs' processes."""
    with hub(tiny_folder, REPOSITORY) as there:
        reach(there.url, tmp_path / "cache", monkeypatch)
        yield there


def reach(url: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", url)
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))


def test_every_model_stands_up_front_with_what_it_takes_here_or_took(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs.queue, "JOBS", tmp_path)
    job = jobs.Job(tmp_path / "1-mined")
    job.folder.mkdir()
    (job.folder / "job.json").write_text(jobs.Spec(title="Mine", run="", steps=()).model_dump_json())
    device, took = str(pick_device("auto")), {"prompts by strong": TEXTS / 1000}
    job.write(jobs.Progress("done", 1.0, device, ended=2.0, rates=took))
    app = settled(at("classes", run=run.name))
    radio = app.radio(key="new_model")
    assert radio.value == "demo"
    assert [option.split("**")[1] for option in radio.options] == [*(model.name for model in MODELS), "another"]
    captions = list(radio.proto.captions)
    assert "bundled" in captions[0]
    for caption in captions[1:4]:
        assert "to download" in caption
        assert "of memory" in caption
        assert "pictures a second" in caption or "a picture" in caption
        assert ("mined in about 17 min" if caption is captions[2] else "mines in about") in caption
    assert "Times are estimates" in texts(app)
    assert "This model is a toy" in texts(app)
    app = settled(radio.set_value("paper").run())
    assert "This model is a toy" not in texts(app)
    assert app.button(key="download_model").label == "Download it now (0.6 GB)"


def with_another(app: AppTest, model: str) -> AppTest:
    app.radio(key="new_model").set_value("another").run()
    app.text_input(key="new_pretrained_name").set_value("").run()
    return settled(app.text_input(key="new_model_name").set_value(model).run())


def test_a_download_is_a_job_that_can_be_ended_and_goes_on(run: Run, online: Hub, tiny_folder: Path) -> None:
    name, size = f"hf-hub:{REPOSITORY}", (tiny_folder / "open_clip_model.safetensors").stat().st_size
    online.pause = 0.2
    app = with_another(at("classes", run=run.name), name)
    app.button(key="download_model").click().run()
    (job,) = jobs.active()
    assert job.spec.steps == (jobs.Download(model=name),)
    settled(app, lambda app: (job.progress.unit, job.progress.total) == ("bytes", size) and job.progress.done)
    job.cancel()
    (part,) = Path(constants.HF_HUB_CACHE).rglob("*.part")
    kept = part.stat().st_size
    assert 0 < kept < size
    online.pause = 0
    settled(app.run(), lambda app: any(button.key == f"resume_{job.id}" for button in app.button))
    app.button(key=f"resume_{job.id}").click().run()
    settled(app, lambda app: job.state == "done")
    assert online.asked[-1] == ("open_clip_model.safetensors", f"bytes={kept}-")
    assert weights.is_here(name, None)
    settled(app.run(), lambda app: "hourglass" not in texts(app))
    assert not [button for button in app.button if button.key == "download_model"]


def test_without_a_network_the_download_says_what_to_do(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reach("http://127.0.0.1:9", tmp_path, monkeypatch)
    app = with_another(at("classes", run=run.name), "hf-hub:nobody/nothing")
    app.button(key="download_model").click().run()
    (job,) = [job for job in jobs.all_jobs() if job.spec.steps == (jobs.Download(model="hf-hub:nobody/nothing"),)]
    settled(app, lambda app: job.state == "failed")
    said = settled(app.run(), lambda app: app.error).error[0].value
    assert "is not on this computer" in said
    assert "Connect this computer to the network and try again" in said


def test_a_name_that_is_no_model_is_said_beside_it(run: Run) -> None:
    app = with_another(at("classes", run=run.name), "ViT-B/16")
    assert any("open\\_clip has no model" in warning.value for warning in app.warning)


def toys(app: AppTest) -> list[str]:
    return [link.proto.page for link in app.get("page_link") if "toy" in link.proto.label]


def test_scores_of_own_pictures_by_the_toy_lead_to_the_real_models(tmp_path: Path) -> None:
    own = write_run("own-by-toy", paths.RUNS, tmp_path)
    for page in ("explore", "image"):
        assert toys(at(page, run=own.name)) == ["classes"]
        assert toys(at(page, run="demo")) == []  # the bundled pictures are what it knows
    shutil.rmtree(own.folder)


def test_a_picture_that_is_dropped_in_and_a_folder_of_ones_own_meet_the_same_notice(tmp_path: Path) -> None:
    assert toys(at("score", run="demo", source="server")) == ["classes"]
    assert toys(at("score", run="demo")) == []
    Image.new("RGB", (40, 40), "green").save(tmp_path / "own.png")
    app = at("image", run="demo")
    app.file_uploader(key="own_picture").upload("own.png", (tmp_path / "own.png").read_bytes(), "image/png").run()
    assert "classes" in toys(app)


def test_mining_with_a_model_that_is_not_here_downloads_it_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reach("http://127.0.0.1:9", tmp_path, monkeypatch)
    run = Run.create("needs-paper", Settings(model="paper"), ["cat", "dog"])
    app = settled(
        at("classes", run=run.name, step="changes"), lambda app: [j for j in jobs.all_jobs() if j.spec.run == run.name]
    )
    job = next(job for job in jobs.all_jobs() if job.spec.run == run.name)
    assert job.spec.steps == (jobs.Download(model="paper"), jobs.Mine())
    settled(app, lambda app: job.state == "failed")
    assert "is not on this computer" in job.error
    shutil.rmtree(run.folder)
