"""Whole pages at URLs that make no sense: each draws, or says what to do in one line."""

import random
from pathlib import Path

import pytest

from negrefine_core import paths
from negrefine_core.runs import Run
from tests.inputs.test_made_up import PARAMETERS
from tests.support.app_driver import at
from tests.support.markup import MARKUP, shown
from tests.support.runs import write_hostile_run

PAGES = ["explore", "image", "review", "judges", "compare", "classes", "score", "learn"]
VALUES = [
    MARKUP, "", " ", "..", "/", "../../etc/passwd", "nan", "-1", "1e999", "9" * 30, "٣", "%00", "\0", "%2C,", ",,",
    "\n",
    "\u202e", "a\u200bb", "x" * 5_000, "animals/../../x", "hostile", "labels", "judges", "mcm", "negrefine",
    "upload", "folder",
]  # fmt: skip
EACH = 4  # URLs a page


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return write_hostile_run("urls", paths.RUNS, tmp_path_factory.mktemp("urls"))


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_a_url_that_makes_no_sense_draws_a_page_or_says_so(page: str, run: Run, tmp_path: Path) -> None:
    draw = random.Random(page)  # noqa: S311 - the same URLs each time
    for _ in range(EACH):
        names = draw.sample([name for name in PARAMETERS if name not in ("", "run")], 6)
        query = {name: draw.choice(VALUES) for name in names}
        app = at(page, run=run.name, **query)
        assert not app.exception, query
        assert all("\n" not in error.value for error in app.error), query
        assert not [each for each in shown(app) if each.is_obeyed], query
