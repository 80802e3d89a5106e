"""`negrefine sort`: the list and the folders say the same, at a threshold that is said."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from negrefine_core import cli
from negrefine_core.metrics import fpr_at_recall
from negrefine_core.runs import Run
from tests.support.runs import write_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return write_run("sorted", tmp_path / "runs", tmp_path)


def negrefine(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["negrefine", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return int(stopped.value.code or 0)


def test_the_list_and_the_folders_are_sorted_at_the_threshold_that_is_carried_over(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given = ["sort", "animals", "--name", run.folder, "--csv", tmp_path / "list.csv", "--to", tmp_path / "out"]
    assert negrefine(monkeypatch, *given) == 0
    inside, outside = (run.scores(name)["negrefine"] for name in ("animals", "food"))
    at = fpr_at_recall(inside, outside)[1]
    said = capsys.readouterr().out
    share = (inside >= at).mean()
    assert f"Threshold {at:.4f}: it keeps {share:.1%} of the 30 ID images of 'animals', the nearest to 95%." in said
    table = pd.read_csv(tmp_path / "list.csv", keep_default_na=False)
    assert int((table["predicted"] == "cat").sum()) == int((inside >= at).sum())
    below = table.loc[table["predicted"] == "", "path"]
    found = (tmp_path / "out" / "none of the classes").rglob("*.png")
    assert sorted(file.relative_to(tmp_path / "out" / "none of the classes").as_posix() for file in found) == sorted(
        below
    )
    assert negrefine(monkeypatch, *given) == 1
    assert "there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing",), "has no scores of 'nothing'"),
        (("animals", "--score", "path"), "no score 'path'"),
        (("animals", "--score", "best"), "no score 'best'"),
        (("animals", "--threshold", "nan"), "give a number"),
    ],
)
def test_what_cannot_be_sorted_is_one_clear_line(
    arguments: tuple[str, ...],
    message: str,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert negrefine(monkeypatch, "sort", *arguments, "--name", run.folder) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
