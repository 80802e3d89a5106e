"""The Learn page without a browser: every step says the run's own figures."""

from pathlib import Path

import pytest
from negrefine_app.learn.view import TITLES
from streamlit.testing.v1 import AppTest

from negrefine_core import paths, pipeline
from negrefine_core.metrics import fpr_at_recall
from negrefine_core.operating_point import YOUDEN, threshold
from negrefine_core.run_files.bundled import STORY_RUN
from negrefine_core.runs import Run, Settings
from negrefine_core.show import scored
from tests.support.app_driver import at, query, settled, texts
from tests.support.runs import N_IMAGES, refined, write_run


@pytest.fixture(scope="module", autouse=True)
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return refined(write_run("taught", paths.RUNS, tmp_path_factory.mktemp("taught")))


def taught(lesson: str) -> AppTest:
    app = settled(at("learn", run="taught", lesson=lesson))
    assert not app.error
    return app


def test_next_walks_through_every_step_and_keeps_it_in_the_url() -> None:
    app = taught("similarity")
    last = list(TITLES)[-1]
    for place, (code, title) in enumerate(TITLES.items(), 1):
        assert query(app).get("lesson", "similarity") == code
        assert f"{place}. {title}" in texts(app)
        assert app.button(key="lesson1").disabled == (code == last)
        if code != last:
            app.button(key="lesson1").click().run()
            assert not app.exception


def test_similarity_alone_lets_in_as_many_images_as_its_scores_say(run: Run) -> None:
    inside, outside = (run.scores(name)["mcm"].to_numpy() for name in ("animals", "food"))
    let_in = round(fpr_at_recall(inside, outside)[0] * N_IMAGES)
    assert f"lets in **{let_in} of {N_IMAGES}** OOD images" in texts(taught("similarity"))


def test_the_judges_step_counts_its_answers_and_shows_a_rejection() -> None:
    shown = texts(taught("judge"))
    assert "**wordnet**, which answered **3** questions" in shown
    assert "bpoodleb" in shown


def test_where_two_methods_do_not_differ_beyond_chance_the_page_says_so(run: Run) -> None:
    for name in ("animals", "food"):
        table = run.scores(name)
        run.write_scores(name, run.image_root(name), table.assign(csp=table["negrefine"]))
    pipeline.evaluate(run, "animals", ["food"], n_bootstrap=20)
    assert texts(taught("scores")).count("no difference beyond chance") == 2


def test_a_run_without_images_leads_to_the_bundled_one(tmp_path: Path) -> None:
    refined(Run.create("untaught", Settings(), ["cat", "*dog*"]))
    app = at("learn", run="untaught")
    assert "no set of your classes and no set of something else" in texts(app)


def test_the_story_shows_which_pictures_only_the_filter_saves_and_the_words_they_were_lost_to() -> None:
    table = scored(Run.open(STORY_RUN))
    best = threshold(table, "neglabel", YOUDEN)
    saved = table[(table["csp"] < best) & (table["neglabel"] >= best)]
    inside, outside = int(saved["is_id"].sum()), int((~saved["is_id"]).sum())
    app = settled(at("learn", run=STORY_RUN, lesson="harm"))
    assert not app.error
    said = texts(app)
    assert f"Without the filter **{inside} of 114** ID images" in said
    assert f"{outside} of 438 OOD images, rightly" in said
    cards = [element.proto.label for element in app.get("page_link") if "→" in element.proto.label]
    assert len(cards) == 6
    assert any("lemon" in card and "“lemon”" in card for card in cards)
    assert "the paper takes the 15% least similar of 23 files, without noun" in said
    said = texts(settled(at("learn", run=STORY_RUN, lesson="judge")))
    assert "“banana bread”" in said
    assert "NegLabel part is better" in said
