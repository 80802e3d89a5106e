"""Runs the notebooks from a clean kernel and stores their outputs: `python notebooks/store.py [NAME.ipynb ...]`.

A figure is stored twice: plotly's JSON, which JupyterLab and VS Code draw offline, and a PNG for what runs no scripts
(GitHub, nbviewer, a notebook that its reader has not trusted yet).
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
import plotly
from nbclient import NotebookClient
from nbformat import NotebookNode
from playwright.sync_api import sync_playwright

from negrefine_core.show.widgets import VIEW

HERE = Path(__file__).resolve().parent
PLOTLY = "application/vnd.plotly.v1+json"
WIDTH = 800
CELL = 1800  # seconds until a cell is taken to hang


def execute(notebook: NotebookNode) -> NotebookNode:
    """Run all cells in a new kernel, with the notebooks' folder as its own; the first error ends it.

    In what they show, paths are the project's own, not this machine's.
    """
    client = NotebookClient(
        notebook, timeout=CELL, resources={"metadata": {"path": HERE}}, record_timing=False, store_widget_state=False
    )
    executed: NotebookNode = client.execute()
    for output in (output for cell in executed.cells for output in cell.get("outputs", [])):
        output.get("data", {}).pop(VIEW, None)  # the still picture beside it is what is stored
    executed.metadata.pop("language_info", None)
    portable: NotebookNode = nbformat.reads(nbformat.writes(executed).replace(f"{HERE.parent}/", ""), as_version=4)
    return portable


def figures(notebook: NotebookNode) -> list[dict[str, Any]]:
    """The outputs' data of all cells that hold a plotly figure."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output.data for output in outputs if PLOTLY in output.get("data", {})]


def add_pictures(notebook: NotebookNode) -> None:
    """Draw each figure as PNG beside its JSON, with plotly's own script in Chromium."""
    with sync_playwright() as playwright:
        system = Path("/usr/bin/chromium")
        browser = playwright.chromium.launch(
            executable_path=system if system.exists() else None, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.add_script_tag(path=Path(plotly.__file__).parent / "package_data" / "plotly.min.js")
        for data in figures(notebook):
            size = {"format": "png", "width": WIDTH, "height": data[PLOTLY]["layout"].get("height", 340)}
            uri = page.evaluate("([figure, size]) => Plotly.toImage(figure, size)", [data[PLOTLY], size])
            data["image/png"] = uri.partition(",")[2]
        browser.close()


def main(names: Sequence[str]) -> None:
    for path in [HERE / name for name in names] or sorted(HERE.glob("*.ipynb")):
        notebook = execute(nbformat.read(path, as_version=4))
        add_pictures(notebook)
        nbformat.write(notebook, path)
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
