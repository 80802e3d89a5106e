"""The command that opens the explorer in the browser."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from ..errors import NegRefineError

commands = typer.Typer()


@commands.command(epilog="Example: negrefine app --port 8600")
def app(
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: 8501, or the next that is free.")] = None,
) -> None:
    """Open the explorer: a page on this computer alone, for the browser. Ctrl-C ends it."""
    spec = find_spec("negrefine_app")
    if spec is None or not spec.submodule_search_locations:
        raise NegRefineError("the explorer is not installed; install the package again: pip install negrefine-explorer")
    script = Path(spec.submodule_search_locations[0]) / "main.py"  # its settings lie beside it, in .streamlit
    arguments = [sys.executable, "-m", "streamlit", "run", str(script)]
    if port:
        arguments += ["--server.port", str(port)]
    os.execv(sys.executable, arguments)  # noqa: S606 - this process becomes Streamlit's, and ends as Streamlit does
