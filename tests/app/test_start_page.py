"""The first page: what it says, where its four doors lead, and old links that still lead straight in."""

import shutil
from collections.abc import Iterator

import pandas as pd
import pytest
from negrefine_app.classes import draft
from negrefine_app.start.page import SHOWN
from playwright.sync_api import Page, expect
from streamlit.testing.v1 import AppTest

from negrefine_core import paths
from negrefine_core.metrics import ood_metrics
from negrefine_core.run_files.bundled import BUNDLED_RUN, PUBLISHED_RUN, STORY_RUN
from negrefine_core.runs import Run, Settings
from tests.support.app_driver import at, go, query, texts
from tests.support.browser import drawn, expect_text, expect_url


def doors(app: AppTest) -> dict[str, tuple[str, str]]:
    """The page and the query that each door leads to, by its words."""
    links = [element.proto for element in app.get("page_link")]
    return {link.label: (link.page, link.query_string) for link in links}


def test_a_bare_address_says_what_the_product_is_and_opens_four_doors() -> None:
    app = at("start")
    assert not app.exception
    assert app.title[0].value == "NegRefine Explorer"
    assert [each.value.split(": ")[1] for each in app.subheader] == [
        "A finished story", "Your own pictures", "Published decisions", "Learn",
    ]  # fmt: skip
    assert doors(app) == {
        "Open the finished run": ("compare", f"run={STORY_RUN}&threshold=youden&first=csp&second=neglabel"),
        "Name your classes": ("classes", "run=demo&begin=own"),
        "Review its decisions": ("review", f"run={PUBLISHED_RUN}"),
        "Begin with step 1": ("learn", f"run={STORY_RUN}"),
    }
    assert "the paper takes the 15% least similar" in texts(app)
    assert not app.code


def test_the_page_works_without_any_run_and_says_how_to_make_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("negrefine_app.shared.frame.known_runs", list)
    app = at("start")
    assert not app.exception
    assert app.code[0].value == "negrefine run"
    assert doors(app) == {}


def test_the_bundled_run_takes_the_shown_pictures_for_what_stands_below_them() -> None:
    run = Run.open(BUNDLED_RUN)
    sets = {name: run.scores(name).set_index("path") for name in run.scored_sets}
    outside = pd.concat([table for name, table in sets.items() if name != "animals"])
    threshold = ood_metrics(sets["animals"]["negrefine"], outside["negrefine"]).threshold95
    for place, said in SHOWN.items():
        name, _, path = place.partition("/")
        image = sets[name].loc[path]
        assert (image["id_labels"][0] if image["negrefine"] >= threshold else "") == said
        assert (paths.IMAGES / place).exists()


@pytest.fixture
def untouched() -> Iterator[Run]:
    shutil.rmtree(paths.DATA / "drafts", ignore_errors=True)
    yield Run.open(BUNDLED_RUN)
    shutil.rmtree(paths.DATA / "drafts", ignore_errors=True)


def test_the_way_to_ones_own_pictures_begins_with_an_empty_list_and_keeps_one_that_is_being_written(
    untouched: Run,
) -> None:
    app = at("classes", run=BUNDLED_RUN, begin="own")
    assert not app.exception
    assert not app.error
    assert "Paste, upload or type your class names" in app.info[0].value
    assert app.text_input(key="new_name").value.startswith("my-classes")  # a number follows where a run has it
    assert app.button(key="mine_own").disabled
    draft.edit(draft.OWN, ["tabby", "poodle"])
    app = at("classes", run=BUNDLED_RUN, begin="own")
    assert app.button(key="mine_own").label == "Mine and refine 2 classes"
    assert "removed" not in texts(app)
    assert draft.names(untouched) == untouched.id_labels


def test_the_menu_leads_from_the_first_page_back_to_the_view_that_was_left() -> None:
    Run.create("left", Settings(), ["cat", "dog"])
    app = at("classes", run="left", step="refine")
    app.query_params.clear()
    go(app, "start")
    assert query(app) == {}
    assert "Is this picture" in texts(app)
    go(app, "classes")
    assert query(app) == {"run": "left", "step": "refine"}


@pytest.mark.browser
def test_a_bare_address_opens_the_first_page_and_an_old_link_leads_straight_to_its_view(
    page: Page, address: str, walked: Run
) -> None:
    page.goto(address)
    expect_text(page, "Is this picture one of")
    expect(page).to_have_title("Start · NegRefine Explorer")
    drawn(page)
    page.get_by_role("link", name="Open the finished run").click()
    expect_url(page, r"/compare\?run=food-drink&threshold=youden&first=csp&second=neglabel$")
    expect(page.get_by_role("heading", level=1)).to_have_text("Compare")
    expect_text(page, "NegLabel part is better")
    expect_text(page, "green apple")
    page.goto(f"{address}/?run={walked.name}&outcome=TP")
    expect_url(page, r"/explore\?run=walked&outcome=TP$")
    expect_text(page, r"of \d+ images")
