"""The notebooks run from a clean kernel, offline, and what they hold is what they give."""

import base64
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbformat import NotebookNode

from tests.support.project import ROOT

NOTEBOOKS = ROOT / "notebooks"
sys.path.insert(0, str(NOTEBOOKS))

from store import PLOTLY, execute, figures  # noqa: E402 - the notebooks' own script

NAMES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
SAME_WORDS = 0.9  # another processor may swap two pictures whose scores are nearly equal


def stored(name: str) -> NotebookNode:
    return nbformat.read(NOTEBOOKS / name, as_version=4)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text(cell: NotebookNode) -> str:
    """What a cell shows, without figures and pictures."""
    shown = []
    for output in cell.outputs:
        data = output.get("data", {})
        if PLOTLY not in data:
            shown.append(output.get("text") or data.get("text/html") or data.get("text/plain", ""))
    return re.sub(r'src="data:[^"]*"', "", "\n".join(shown))


def numbers(value: Any) -> list[float]:
    """All numbers of a figure's data, plotly's packed arrays among them."""
    if isinstance(value, dict) and "bdata" in value:
        unpacked = np.frombuffer(base64.b64decode(value["bdata"]), dtype=value["dtype"])
        return unpacked[np.isfinite(unpacked)].astype(float).tolist()
    if isinstance(value, dict):
        return [n for key in sorted(value) for n in numbers(value[key])]
    if isinstance(value, list):
        return [n for item in value for n in numbers(item)]
    return [float(value)] if isinstance(value, int | float) and np.isfinite(value) else []


@pytest.fixture(scope="module")
def data_folder(cold_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new one, as a reader's: messages name the runs that there are. What the cold run embedded is known."""
    folder = tmp_path_factory.mktemp("notebooks")
    (folder / "cache").symlink_to(cold_data / "cache")
    return folder


@pytest.fixture(scope="module", params=NAMES)
def executed(request: pytest.FixtureRequest, data_folder: Path) -> tuple[str, NotebookNode]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEGREFINE_DATA", str(data_folder))
        return request.param, execute(stored(request.param))


@pytest.mark.slow
def test_each_notebook_runs_and_its_stored_outputs_are_of_that_execution(executed: tuple[str, NotebookNode]) -> None:
    name, fresh = executed
    for old, new in zip(code_cells(stored(name)), code_cells(fresh), strict=True):
        old_words, new_words = (NUMBER.sub("#", text(cell)).split() for cell in (old, new))
        assert len(old_words) == pytest.approx(len(new_words), rel=1 - SAME_WORDS), new.source
        same = [a == b for a, b in zip(old_words, new_words, strict=False)]
        assert not same or np.mean(same) >= SAME_WORDS, new.source
        old_numbers, new_numbers = ([float(n.replace(",", "")) for n in NUMBER.findall(text(c))] for c in (old, new))
        near = [a == pytest.approx(b, rel=0.02, abs=0.02) for a, b in zip(old_numbers, new_numbers, strict=False)]
        assert not near or np.mean(near) >= SAME_WORDS, new.source


@pytest.mark.slow
def test_each_stored_figure_is_the_fresh_one(executed: tuple[str, NotebookNode]) -> None:
    name, fresh = executed
    for old, new in zip(figures(stored(name)), figures(fresh), strict=True):
        before, after = numbers(old[PLOTLY]["data"]), numbers(new[PLOTLY]["data"])
        assert len(before) == pytest.approx(len(after), rel=0.05)
        if len(before) == len(after):
            span = max(np.abs(before), default=1.0)
            assert np.isclose(before, after, rtol=0.02, atol=0.02 * span, equal_nan=True).mean() >= SAME_WORDS


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_notebook_shows_without_a_kernel_and_is_small(name: str) -> None:
    notebook = stored(name)
    assert (NOTEBOOKS / name).stat().st_size < 1.5e6
    assert not re.search(r"(?<![\w.])/\w[\w.-]*/[\w /.-]*data/", "\n".join(map(text, code_cells(notebook)))), "a path"
    assert all(data["image/png"] for data in figures(notebook))
    assert any("data:image/webp" in str(cell.outputs) for cell in code_cells(notebook))
    for cell in code_cells(notebook):
        assert len(cell.source.splitlines()) <= 15, cell.source
        assert all(output.output_type != "error" and output.get("name") != "stderr" for output in cell.outputs)
        assert cell.execution_count


def test_there_are_three_notebooks() -> None:
    assert [name[:2] for name in NAMES] == ["01", "02", "03"]


@pytest.mark.slow
def test_a_mistake_reads_as_a_message_in_a_notebook() -> None:
    from nbclient.exceptions import CellExecutionError

    source = "from negrefine_core import open_image_set\nopen_image_set('no/such/folder')"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    with pytest.raises(CellExecutionError):
        execute(notebook)
    (output,) = notebook.cells[0].outputs
    (line,) = output.traceback
    assert line.startswith("NegRefineError: no folder ")
    assert line.endswith("check the path")
