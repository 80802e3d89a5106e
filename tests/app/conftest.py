"""What the app's tests share: a small run to look at."""

import pytest

from negrefine_core import paths
from negrefine_core.runs import Run
from tests.support.runs import write_run


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with drawn scores."""
    if (paths.RUNS / "walked").exists():  # another module of this process made it
        return Run.open("walked")
    return write_run("walked", paths.RUNS, tmp_path_factory.mktemp("walked"))
