"""The ID classes page: sources, problems, the draft, re-mining and what changed, and refining with a judge's server."""

import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from negrefine_app.classes import draft as class_draft
from negrefine_app.classes import mining as mining_step
from negrefine_app.classes import sources as class_sources
from negrefine_app.classes.carry_over import waiting
from negrefine_app.classes.changes import negative_changes, staleness
from negrefine_app.classes.editor import edited
from negrefine_app.classes.problems import mended, problems
from negrefine_app.classes.prompts import Tokens
from negrefine_app.classes.remine import free_name
from negrefine_app.shared import features
from playwright.sync_api import Page, Position
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button

from negrefine_core import jobs, overrides, paths, pipeline
from negrefine_core.cache import CachedEncoder
from negrefine_core.encoder import OpenClipEncoder
from negrefine_core.errors import NegRefineError
from negrefine_core.image_sets import open_image_set
from negrefine_core.judges.wordnet import WordNetJudge
from negrefine_core.labels import NOUN_TEMPLATES, fill
from negrefine_core.negfilter import clean_negatives, question_chains
from negrefine_core.records import Negative
from negrefine_core.runs import Run, Settings
from tests.support.app_driver import at, go, query, settled, texts
from tests.support.browser import expect_text, expect_url, insist
from tests.support.jobs import until
from tests.support.loopback_server import Action, LoopbackServer
from tests.support.pictures import write_pictures
from tests.support.runs import write_run

IDS = ["cat", "dog", "owl", "red fox", "bee"]
KEY = "sk-very-secret-9876543210"


def small_run(name: str, model: str, encoder: OpenClipEncoder, ids: Sequence[str] = IDS) -> Run:
    """A mined and refined run over a small part of WordNet."""
    settings = Settings(
        model=model, n_groups=2, fraction=0.3, noun_files=("noun.Tops", "noun.motive"), adjective_files=("adj.ppl",),
        id_images="/its/pets", ood_images={"food": "/its/food"},
    )  # fmt: skip
    run = Run.create(name, settings, ids)
    pipeline.mine(run, CachedEncoder(encoder))
    pipeline.refine(run, CachedEncoder(encoder), WordNetJudge())
    return run


@pytest.fixture(scope="module")
def base(tiny_model: str, encoder: OpenClipEncoder) -> Run:
    return small_run("pets", tiny_model, encoder)


@pytest.fixture
def run(base: Run) -> Run:
    """The run without a draft or successors."""
    shutil.rmtree(paths.DATA / "drafts", ignore_errors=True)
    for made in paths.RUNS.glob("pets-*"):
        shutil.rmtree(made)
    return base


def classes_page(**wanted: str) -> AppTest:
    app = at("classes", **{"run": "pets"} | wanted)
    assert not app.exception
    return app


def rows(app: AppTest) -> list[str]:
    return app.dataframe[0].value["Class"].tolist()


def pasted(app: AppTest, text: str) -> AppTest:
    app.text_area(key="pasted").set_value(text)
    app.button(key="use_Paste").click().run()
    assert not app.exception
    return app


def button(app: AppTest, label: str) -> Button:
    return next(b for b in app.button if b.label.startswith(label))


def links(app: AppTest) -> dict[str, str]:
    """Each page link's label, with its query."""
    return {link.proto.label: link.proto.query_string for link in app.get("page_link")}


def test_the_page_opens_on_the_runs_classes_with_nothing_to_re_mine(run: Run) -> None:
    app = classes_page()
    assert rows(app) == IDS
    assert app.text_input(key="new_name").value == "pets-2"
    assert button(app, "Re-mine").disabled


def test_a_pasted_list_replaces_the_draft_and_can_be_undone_and_discarded(run: Run) -> None:
    app = classes_page()
    assert "A draft" not in texts(app)
    app = pasted(app, " \n\n ")
    assert "holds no class names" in app.error[0].value
    app = pasted(app, "lion\ntiger\npuma")
    assert rows(app) == ["lion", "tiger", "puma"]
    assert "A draft, not the classes of" in texts(app)
    button(app, "Undo").click().run()
    assert rows(app) == IDS
    assert button(app, "Undo").disabled
    button(app, "Redo").click().run()
    assert rows(app) == ["lion", "tiger", "puma"]
    assert button(app, "Redo").disabled
    button(app, "Discard changes").click().run()
    assert rows(app) == IDS
    button(app, "Undo").click().run()
    assert rows(app) == ["lion", "tiger", "puma"]


def test_an_emptied_list_stays_empty_blocks_mining_and_can_be_undone_or_discarded(run: Run) -> None:
    class_draft.edit(run, [])
    for way_back in ("Discard changes", "Undo"):
        app = classes_page()
        assert rows(app) == []
        assert "at least 2 classes" in app.info[0].value
        assert button(app, "Re-mine").disabled
        button(app, way_back).click().run()
        assert rows(app) == IDS
        class_draft.edit(run, [])


def test_each_change_is_undone_by_itself_and_redone_until_another_is_made(run: Run) -> None:
    lists = [IDS, IDS[1:], [*IDS[1:], "lion"], [], ["cat", "", "dog"]]
    for names in lists[1:]:
        class_draft.edit(run, names)
    app = classes_page()
    for names in lists[-2::-1]:
        button(app, "Undo").click().run()
        assert rows(app) == names
    for names in lists[1:3]:
        button(app, "Redo").click().run()
        assert rows(app) == names
    class_draft.edit(run, ["bee"])
    assert not class_draft.can_redo(run)
    class_draft.undo(run)
    assert class_draft.names(run) == lists[2]


def test_the_latest_changes_can_be_undone_and_the_settings_stay(run: Run) -> None:
    class_draft.choose(run, seed=3)
    for number in range(class_draft.KEPT + 5):
        class_draft.edit(run, [f"class {number}"])
    for _ in range(class_draft.KEPT + 5):
        class_draft.undo(run)
    assert class_draft.names(run) == ["class 4"]
    assert class_draft.chosen(run) == {"seed": 3}


def test_a_row_that_is_added_and_still_blank_is_no_change_and_nothing_to_point_out(run: Run) -> None:
    class_draft.edit(run, [*IDS, ""])
    assert not class_draft.can_undo(run)
    app = classes_page()
    assert "**5 rows**" in texts(app)
    assert not app.warning
    assert not any(b.label == "Mend the list" for b in app.button)
    class_draft.edit(run, [*IDS, "", "lion"])
    app.run()
    assert "**7 rows, 6 of them usable**" in texts(app)
    assert "1 blank row" in app.warning[0].value
    class_draft.undo(run)
    assert class_draft.names(run) == IDS


def test_pasted_text_without_names_is_refused_beside_it_and_repeated_names_are_counted(run: Run) -> None:
    app = pasted(classes_page(), "\n ")
    assert "no class names" in app.error[0].value
    assert rows(app) == IDS
    pasted(app, "dragon, Dragon, cat,")
    assert not app.error
    assert "**3 rows, 2 of them usable**" in texts(app)


def test_the_draft_survives_another_page_a_new_session_and_the_run_stays_as_it_was(run: Run) -> None:
    app = pasted(classes_page(), "lion\ntiger")
    go(app, "explore")
    go(app, "classes")
    assert rows(app) == ["lion", "tiger"]
    assert rows(classes_page()) == ["lion", "tiger"]
    assert run.id_labels == IDS


def test_a_preset_becomes_the_list(run: Run) -> None:
    app = classes_page()
    app.selectbox(key="preset").select("imagenet").run()
    app.button(key="use_Preset").click().run()
    assert len(rows(app)) == 998
    assert rows(app)[0] == "tench"


def test_an_uploaded_csv_gives_its_class_column(run: Run) -> None:
    app = classes_page()
    app.file_uploader(key="uploaded").set_value(("pets.csv", b'id,Class\n1,lion\n2,"cat, big"\n', "text/csv")).run()
    app.button(key="use_Upload").click().run()
    assert rows(app) == ["lion", "cat, big"]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.txt", b"caf\xe9\n", "not UTF-8 text (byte 3)"),
        ("a.txt", "cat".encode("utf-16"), "not UTF-8"),
        ("../../a.txt", b"\x89PNG\0\0", "not a text file"),
        ("a.txt", b"cat\n" * 300_000, "at most 1 MB"),
        ("a.txt", b"a\n" * 20_000, "at most 10,000"),
        ("a.csv", b"\n \n", "no class names"),
        ("a.csv", b'"' + b"x" * 200_000, "no CSV file"),
        ("a.txt", b"", "no class names"),
    ],
)
def test_a_file_that_is_no_class_list_is_refused_with_the_reason(name: str, data: bytes, said: str) -> None:
    with pytest.raises(NegRefineError, match=said.replace("(", r"\(").replace(")", r"\)")):
        class_sources.from_file(name, data)


def test_a_refused_upload_leaves_the_draft_alone(run: Run) -> None:
    app = classes_page()
    app.file_uploader(key="uploaded").set_value(("a<b>.txt", b"\xff\xfe\xff", "text/plain")).run()
    assert "not UTF\\-8" in app.error[0].value
    assert rows(app) == IDS


def test_each_problem_is_named_and_mended() -> None:
    names = ["cat", "", "CAT", "dog\u202e", "x" * 101, "two\tspaces", "a b c d"]
    found = {p.text.split("**")[1]: p for p in problems(names, lambda name: name == "a b c d", 24)}
    assert list(found) == [
        "Longer than 100 characters", "More than the 24 tokens that the model reads", "There more than once",
        "1 blank row", "Characters that cannot be seen",
    ]  # fmt: skip
    assert [p.blocks for p in found.values()] == [True, False, False, False, False]
    assert "u202e" in found["Characters that cannot be seen"].text
    assert mended(names) == ["cat", "dog", "x" * 101, "two spaces", "a b c d"]
    assert not problems(["cat", "dog", "", " \u200b"], lambda _: False, 24)


def test_problems_are_shown_and_fewer_than_two_classes_cannot_be_mined(run: Run) -> None:
    app = pasted(classes_page(), "cat\nCat\n\n")
    assert "At least 2 classes" in app.error[0].value
    assert button(app, "Re-mine").disabled
    button(app, "Mend the list").click().run()
    assert rows(app) == ["cat"]


def test_names_longer_than_the_models_context_are_found_by_its_own_tokenizer(
    tiny_model: str, encoder: OpenClipEncoder
) -> None:
    tokens, longest = Tokens(tiny_model), max(NOUN_TEMPLATES, key=len)
    for count in range(1, 24):
        name = " ".join(["badger"] * count)
        assert (tokens.count(fill(longest, name)) > tokens.context) == encoder.is_too_long(fill(longest, name))


def test_the_prompts_of_the_chosen_class_are_shown_with_their_tokens(run: Run) -> None:
    app = settled(classes_page(), lambda app: "Tokens" in app.dataframe[1].value)
    app.selectbox(key="previewed").select("red fox").run()
    shown = app.dataframe[1].value
    assert shown["Prompt"].tolist() == [fill(template, "red fox") for template in NOUN_TEMPLATES]
    assert shown["Tokens"][4] == "4 of 24"


def test_table_edits_are_applied_as_a_naive_reader_would() -> None:
    edits = {"edited_rows": {"1": {"Class": "B"}, "3": {"Class": None}}, "deleted_rows": [0, 2],
             "added_rows": [{"Class": "new"}, {}]}  # fmt: skip
    assert edited(["a", "b", "c", "d", "e"], edits) == ["B", "", "e", "new", ""]


def test_a_names_line_ends_do_not_split_it_in_the_draft(run: Run) -> None:
    class_draft.edit(run, ["a\nb", " c ", "\ud800"])
    assert class_draft.names(run) == ["a b", " c ", "?"]


def test_new_names_are_free_and_follow_on(run: Run) -> None:
    assert free_name("pets") == "pets-2"
    Run.create("pets-2", run.settings, IDS)
    assert free_name("pets") == free_name("pets-2") == "pets-3"
    assert len(free_name("x" * 80)) <= 80


def test_a_name_that_is_taken_or_no_name_is_refused_in_place(run: Run) -> None:
    app = pasted(classes_page(), "lion\ntiger")
    for name, said in (("pets", "There is a run pets already"), ("../x", "Use letters, digits")):
        app.text_input(key="new_name").set_value(name).run()
        assert said in texts(app)
        assert button(app, "Re-mine").disabled


def test_class_folders_without_a_class_are_told(run: Run, encoder: OpenClipEncoder, tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "animals", 3, classes=("cat", "red_fox", "zebra"))
    pond = write_pictures(tmp_path / "pond", 2, classes=("dog", "frog"))
    pipeline.score(run, CachedEncoder(encoder), [open_image_set(folder), open_image_set(pond)])
    try:
        assert "named after" not in "\n".join(info.value for info in classes_page().info), "no set is known as ID"
        run.set_role("animals", "ID")
        assert "“pond”" not in "\n".join(info.value for info in classes_page().info), "nobody has said what it shows"
        run.set_role("pond", "OOD")
        told = "\n".join(info.value for info in classes_page().info)
        assert "named after: 1 (zebra)" in told
        assert "without a folder of ID pictures in “animals”: 3 (dog, owl, bee)" in told
        assert "“pond” counts as OOD and has pictures of your classes: dog" in told
        assert "“animals” counts as OOD" not in told
    finally:
        shutil.rmtree(run.path("scores"))
        run.update_info(roles={})


def test_how_long_mining_takes_is_said_before_it_begins(
    run: Run, encoder: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ahead = mining_step._ahead(run.folder)
    assert ahead == mining_step.Ahead(0, 0, 0.0)  # they were embedded when it was mined
    monkeypatch.setattr(features, "encoder", lambda _: CachedEncoder(encoder, tmp_path))
    monkeypatch.setattr(mining_step, "SAMPLE", 5)
    ahead = mining_step._ahead(run.folder)
    words = pipeline.candidates(run)
    assert ahead.words == 2 * len(words.nouns) + len(words.adjective_phrases) + len(words.adjectives) - 4 * 5
    assert ahead.seconds > 0


@pytest.mark.slow
def test_re_mining_makes_a_new_run_and_shows_what_came_went_and_is_stale(run: Run, encoder: OpenClipEncoder) -> None:
    app = pasted(classes_page(), "cat\ndog\nowl\nteapot\nviolin")
    app.number_input(key="new_fraction").set_value(20.0).run()
    button(app, "Re-mine").click().run()
    assert query(app) == {"run": "pets-2", "step": "changes"}
    settled(app, lambda app: "questions are new" in texts(app))
    new = Run.open("pets-2")
    assert new.settings == run.settings.model_copy(
        update={"fraction": 0.2, "judge": "wordnet", "id_images": None, "ood_images": {}}
    )
    assert new.info.edited_from == "pets"
    before, after = ([(n.label, n.pos) for n in r.initial_negatives] for r in (run, new))
    came, went, stale = (frame.value for frame in app.dataframe)
    assert came["Negative"].tolist() == [label for label, pos in after if (label, pos) not in before]
    assert went["Negative"].tolist() == [label for label, pos in before if (label, pos) not in after]
    chains = question_chains(CachedEncoder(encoder), clean_negatives(new.initial_negatives), new.id_labels)
    asked = {(q.negative, q.id_label) for chain in chains for q in chain}
    assert len(stale) == sum((v.negative, v.id_label) not in asked for v in run.verdicts)
    answered = {verdict.prompt: verdict.answer for verdict in run.verdicts}
    questions = 0
    for chain in chains:
        for question in chain:
            questions += question.prompt not in answered and question.kind != "same"
            if answered.get(question.prompt) == "yes" or question.kind == "same":
                break
    assert f"At most {questions:,} questions are new" in texts(app)
    assert {"teapot", "violin"} <= set(new.id_labels)
    app = classes_page()
    assert rows(app) == IDS  # the list went into the new run
    assert class_draft.chosen(run) == {}
    button(app, "Undo").click().run()
    assert rows(app) == ["cat", "dog", "owl", "teapot", "violin"]


def test_stale_verdicts_say_why_rejections_first(run: Run, encoder: OpenClipEncoder) -> None:
    chains = question_chains(CachedEncoder(encoder), clean_negatives(run.initial_negatives)[1:], ["cat", "dog"])
    found = staleness(run.verdicts, chains, ["cat", "dog"])
    assert found.causes["not mined"] == sum(v.negative == run.initial_negatives[0].label for v in run.verdicts)
    assert sum(found.causes.values()) == len(found.stale) == len(run.verdicts) - found.holding
    answers = found.stale["Answer"].tolist()
    assert answers == sorted(answers, key=lambda answer: not answer.startswith("yes"))


def test_a_label_that_changed_only_its_place_neither_came_nor_went(run: Run) -> None:
    negatives = run.initial_negatives
    came, went = negative_changes(negatives[1:], negatives[::-1][:-1] + negatives[:1])
    assert came["Negative"].tolist() == [negatives[0].label]
    assert went.empty


def test_overrides_of_the_old_run_can_be_carried_over(run: Run, encoder: OpenClipEncoder, tiny_model: str) -> None:
    new = small_run("pets-9", tiny_model, encoder)
    new.update_info(edited_from="pets")
    label = run.negatives[0].label
    overrides.override(run, [label], "dropped", "ann", "no")
    app = settled(classes_page(run="pets-9", step="refine"), lambda app: "negatives kept" in texts(app))
    app.button(key="carry_over").click().run()
    assert label not in [negative.label for negative in new.negatives]
    assert waiting(run, new) == []
    overrides.undo(run, "ann")


@pytest.mark.slow
def test_what_would_be_sent_is_shown_before_a_dead_server_is_named_and_a_live_one_asked(
    run: Run, encoder: OpenClipEncoder, tiny_model: str
) -> None:
    small_run("pets-8", tiny_model, encoder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/v1"
    app = classes_page(run="pets-8", step="refine")
    app.segmented_control(key="judge_kind").set_value("openai").run()
    for name, value in (("url", url), ("model", "m1"), ("key", KEY)):
        app.text_input(key=f"judge_{name}").set_value(value).run()
    app.number_input(key="judge_sent").set_value(2.0).run()
    settled(app, lambda app: app.metric)
    shown = {metric.label: metric.value for metric in app.metric}
    assert int(shown["Questions, at most"]) > len(IDS)
    assert shown["Answered already"] == "0"
    assert "Cost" in shown
    assert "a proper noun, like the name of a city" in app.code[0].value
    assert f"Ask {shown['Questions, at most']} questions" == app.button(key="refine").label

    app.button(key="refine").click().run()
    settled(app, lambda app: any("cannot reach" in error.value for error in app.error))
    assert str(port) in app.error[0].value
    until(lambda: not any(job.is_alive for job in jobs.all_jobs()))
    with LoopbackServer(lambda prompt: Action("Maybe" if "proper" in prompt else "No"), port) as server:
        button(app, "Try again").click().run()
        settled(app, lambda app: "replies were unclear" in texts(app) or app.error)
        assert not app.error, app.error[0].value
        assert server.asked
        assert f"authorization: Bearer {KEY}".lower() in "".join(server.headers).lower()
    assert app.get("page_link")
    assert KEY not in texts(app)
    written = [path for path in paths.DATA.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert written == []


def test_the_wordnet_judge_is_said_to_answer_by_itself_without_counts(run: Run) -> None:
    shown = texts(classes_page(step="refine"))
    assert "WordNet answers all the questions itself, offline" in shown
    assert "Nothing leaves this machine" in shown
    assert "answered already" not in shown


@pytest.mark.slow
def test_a_scored_successor_links_to_its_scores_and_to_the_comparison_with_its_parent(
    run: Run, encoder: OpenClipEncoder, tiny_model: str, tmp_path: Path
) -> None:
    new = small_run("pets-6", tiny_model, encoder)
    new.update_info(edited_from="pets")
    pond = write_pictures(tmp_path / "pond", 2)
    scoring = jobs.Score(image_set="pond", folder=str(pond), role="OOD")
    job = jobs.start(jobs.Spec(title="Score pets-6", run="pets-6", steps=(scoring,)))
    until(lambda: not job.is_alive)
    assert job.state == "done", job.error
    shown = links(classes_page(run="pets-6", step="refine"))
    assert "See the scores" in shown
    assert "Compare with pets" not in shown
    pipeline.score(run, CachedEncoder(encoder), [open_image_set(pond)])
    try:
        shown = links(classes_page(run="pets-6", step="refine"))
        assert dict(parse_qsl(shown["Compare with pets"])) == {"run": "pets-6", "compare": "runs", "other": "pets"}
    finally:
        shutil.rmtree(run.path("scores"))


def test_what_a_set_shows_is_taken_along_where_the_classes_are_the_same_and_else_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[jobs.Spec] = []
    monkeypatch.setattr(jobs, "start", started.append)
    old = write_run("beasts", paths.RUNS, tmp_path)
    for name, classes in (("beasts-same", old.id_labels), ("beasts-other", ["cat", "teapot"])):
        new = Run.create(name, Settings(), classes)
        new.write_initial_negatives([Negative("rust", "noun", 0.1)])
        new.write_negatives([Negative("rust", "noun", 0.1)])
        new.update_info(edited_from="beasts")
    classes_page(run="beasts-same", step="refine").button(key="score").click().run()
    app = classes_page(run="beasts-other", step="refine")
    for image_set, role in (("animals", "OOD"), ("food", "unknown")):
        assert app.button(key="score").disabled
        app.radio(key=f"known_role_beasts-other_{image_set}").set_value(role).run()
    app.button(key="score").click().run()
    assert [{step.image_set: step.role for step in spec.steps if isinstance(step, jobs.Score)} for spec in started] == [
        {"animals": "ID", "food": "OOD"}, {"animals": "OOD", "food": "unknown"},
    ]  # fmt: skip


def test_an_incomplete_or_unusable_server_is_explained_before_anything_is_asked(run: Run) -> None:
    app = classes_page(step="refine")
    app.segmented_control(key="judge_kind").set_value("openai").run()
    assert "name of its model" in texts(app)
    app.text_input(key="judge_model").set_value("m1").run()
    app.text_input(key="judge_url").set_value("https://user:pw@host/v1").run()
    assert "carries credentials" in app.error[0].value
    assert "pw" not in texts(app)


def test_a_log_that_lacks_questions_says_how_many(run: Run, encoder: OpenClipEncoder, tiny_model: str) -> None:
    small_run("pets-7", tiny_model, encoder)
    app = classes_page(step="refine")
    app.segmented_control(key="judge_kind").set_value("replay").run()
    app.selectbox(key="judge_source").select("pets-7").run()
    settled(app, lambda app: "The log answers" in texts(app))
    assert "at most 0 are not in it" in texts(app)


# --- in a browser ----------------------------------------------------------------------------------------------------


def first_cells(page: Page, position: Position) -> None:
    """Click into the table, which is a canvas: there are no cells to name."""
    page.get_by_test_id("stDataFrame").first.click(position=position)


@pytest.mark.browser
@pytest.mark.slow
def test_all_rows_deleted_in_the_table_stay_deleted_until_undone(page: Page, address: str, run: Run) -> None:
    def delete_all_rows() -> None:
        first_cells(page, {"x": 16, "y": 18})  # the box that marks every row
        page.keyboard.press("Delete")

    page.goto(f"{address}/classes?run=pets")
    expect_text(page, "5 rows")
    insist(page, delete_all_rows, lambda: class_draft.names(run) == [])
    expect_text(page, "at least 2 classes are needed")
    page.reload()
    expect_text(page, "0 rows")
    page.get_by_role("button", name="Undo").click()
    expect_text(page, "5 rows")
    assert class_draft.names(run) == IDS
    page.reload()
    expect_text(page, "5 rows")


@pytest.mark.browser
@pytest.mark.slow
def test_a_class_is_renamed_in_the_table_a_list_pasted_re_mined_refined_and_reviewed(
    page: Page, address: str, run: Run
) -> None:
    def type_lynx_into_the_first_row() -> None:
        first_cells(page, {"x": 120, "y": 52})
        page.keyboard.press("Enter")
        page.keyboard.press("Control+A")
        page.keyboard.type("lynx", delay=30)
        page.keyboard.press("Enter")

    page.goto(f"{address}/classes?run=pets")
    expect_text(page, "5 rows")
    insist(page, type_lynx_into_the_first_row, lambda: class_draft.names(run) == ["lynx", *IDS[1:]])
    page.reload()
    expect_text(page, "1 added, 1 removed")
    page.get_by_role("button", name="Paste").click()
    page.get_by_placeholder("red fox").fill("cat\nlynx\nteapot\nviolin")
    page.get_by_role("button", name="Replace the list with these").click()
    expect_text(page, "4 rows")
    page.get_by_role("button", name="Re-mine 4 classes").click()
    expect_url(page, "run=pets-2&step=changes")
    expect_text(page, "questions are new")
    page.get_by_role("button", name="Refine these negatives").click()
    page.locator(".st-key-refine").get_by_role("button").click()
    expect_text(page, "negatives kept")
    page.get_by_role("link", name="Review the decisions").click()
    expect_url(page, r"/review\?.*run=pets-2")
    until(lambda: jobs.active() == [])


@pytest.mark.browser
def test_a_name_typed_in_the_same_moment_as_the_click_is_the_name_of_the_re_mined_run(
    page: Page, address: str, run: Run
) -> None:
    class_draft.edit(run, ["cat", "lynx", "teapot"])
    page.goto(f"{address}/classes?run=pets")
    expect_text(page, "3 rows")
    button = page.get_by_role("button", name="Re-mine 3 classes")
    button.wait_for()
    name = page.get_by_role("textbox", name="Name of the new run")
    name.fill("typed-at-once")
    name.evaluate("(name, button) => { name.blur(); button.click() }", button.element_handle())
    expect_url(page, "run=typed-at-once&step=changes")
    assert Run.open("typed-at-once").id_labels == ["cat", "lynx", "teapot"]
    assert not (paths.RUNS / "pets-2").exists()
    expect_text(page, "questions are new")


def test_labels_before_and_after_a_change_are_on_one_map_by_what_they_were_and_are(
    run: Run, encoder: OpenClipEncoder, tiny_model: str
) -> None:
    new = small_run("pets-map", tiny_model, encoder, ["teapot", *IDS[1:]])
    new.update_info(edited_from="pets")
    app = settled(classes_page(run="pets-map", step="changes"), lambda app: app.get("plotly_chart"))
    was, now = ({negative.label for negative in each.reviewable} for each in (run, new))
    said = app.get("plotly_chart")[0].proto.alt
    assert f"{len(was & now):,} as before" in said
    assert f"{len(now - was):,} came" in said
    assert "1 new ID class" in said
    assert "1 class left out" in said
