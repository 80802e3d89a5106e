"""The command line's tables, and what its help needs."""

import subprocess
import sys

import pytest

from negrefine_core.cli import tables


def test_in_a_pipe_a_row_is_a_line_whatever_the_width_and_names_are_no_markup(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    shown = tables.table(["Set"], ["Images"], ["State"])
    shown.add_row("[red]pets[/red]", "1,234", "whole " * 40)
    shown.add_row("cars", "5", ":smile:")
    tables.show(shown)
    head, pets, cars = capsys.readouterr().out.splitlines()
    assert head.split() == ["Set", "Images", "State"]
    assert pets.split() == ["[red]pets[/red]", "1,234", *["whole"] * 40]
    assert cars.split() == ["cars", "5", ":smile:"]


def test_help_imports_none_of_the_heavy_libraries() -> None:
    heavy = "{'torch', 'pandas', 'open_clip', 'sklearn', 'openai', 'nltk', 'streamlit', 'plotly'}"
    code = f"import sys, negrefine_core.cli; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
