"""A person's decisions: appended, undone, exported, and final negatives that are always recomputed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from negrefine_core import overrides, paths
from negrefine_core.__main__ import app
from negrefine_core.errors import NegRefineError
from negrefine_core.judge import Question
from negrefine_core.mining import Negative
from negrefine_core.negfilter import Verdict
from negrefine_core.runs import Run, Settings

WORDS = ["granite", "oslo", "daisy chain", "velvet", "st. x", "radiogram"]


def verdict(negative: str, id_label: str | None, judge: str = "wordnet") -> Verdict:
    question = Question(negative, "subcategory" if id_label else "proper noun", id_label)
    return Verdict(negative, question.kind, id_label, 0.3, question.prompt, "Yes", "yes", judge, "", 0.0)


def make_run(runs: Path, name: str = "r") -> Run:
    run = Run.create(name, Settings(n_groups=2), ["daisy", "radio"], runs)
    run.write_initial_negatives(Negative(word, "noun", i / 10) for i, word in enumerate(WORDS))
    with run.verdict_log() as log:
        for entry in (verdict("oslo", None), verdict("daisy chain", "daisy"), verdict("radiogram", "radio")):
            log.append(entry)
        log.append(verdict("velvet", "daisy", "another judge"))
    run.write_negatives(overrides.final_negatives(run))
    return run


def labels(run: Run) -> list[str]:
    return [negative.label for negative in run.negatives]


def test_the_final_negatives_are_what_verdicts_and_overrides_leave(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    assert labels(run) == ["granite", "velvet", "st x"]
    overrides.override(run, ["oslo"], "kept", "ann", "an opera")
    overrides.override(run, ["granite"], "dropped", "ann")
    assert labels(run) == ["oslo", "velvet", "st x"]  # in mined order
    assert len(run.info["permutation"]) == 2
    run.path("negatives.csv").unlink()
    run.write_negatives(overrides.final_negatives(run))
    assert labels(run) == ["oslo", "velvet", "st x"]


def test_an_override_says_who_when_what_and_why_and_is_only_appended(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    overrides.override(run, ["oslo"], "kept", "ann", "an opera")
    first = run.path("overrides.jsonl").read_bytes()
    overrides.override(run, ["oslo"], "dropped", "bob", "a city")
    assert run.path("overrides.jsonl").read_bytes().startswith(first)
    entries = run.overrides
    assert [(o.negative, o.old, o.new, o.reason, o.who) for o in entries] == [
        ("oslo", "dropped", "kept", "an opera", "ann"), ("oslo", "kept", "dropped", "a city", "bob"),
    ]  # fmt: skip
    assert entries[0].time.endswith("+00:00")


def test_undo_appends_the_inverse_and_goes_back_step_by_step(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    overrides.override(run, ["oslo"], "kept", "ann")
    overrides.override(run, ["granite", "velvet"], "dropped", "ann")
    assert labels(run) == ["oslo", "st x"]
    assert [o.negative for o in overrides.undo(run, "bob")] == ["velvet"]
    assert labels(run) == ["oslo", "velvet", "st x"]
    assert [o.negative for o in overrides.undo(run, "bob", 2)] == ["granite", "oslo"]
    assert labels(run) == ["granite", "velvet", "st x"]
    assert overrides.undo(run, "bob") == []
    assert len(run.overrides) == 6
    assert overrides.in_force(run.overrides) == {}


def test_deciding_what_is_decided_changes_nothing(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    assert overrides.override(run, ["oslo"], "dropped", "ann") == []
    assert not run.path("overrides.jsonl").exists()


def test_wrong_decisions_are_explained(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    with pytest.raises(NegRefineError, match="'kept' or 'dropped'"):
        overrides.override(run, ["oslo"], "maybe", "ann")
    with pytest.raises(NegRefineError, match="'paris' is no mined negative"):
        overrides.override(run, ["paris"], "kept", "ann")
    with pytest.raises(NegRefineError, match="keep at least one"):
        overrides.override(run, ["granite", "velvet", "st x"], "dropped", "ann")
    assert run.overrides == []


def test_a_cut_last_line_is_left_out_and_mended(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    overrides.override(run, ["oslo"], "kept", "ann")
    with run.path("overrides.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"negative": "gran')
    assert len(run.overrides) == 1
    overrides.override(run, ["granite"], "dropped", "ann")
    assert [o.negative for o in run.overrides] == ["oslo", "granite"]
    assert all(json.loads(line) for line in run.path("overrides.jsonl").read_text(encoding="utf-8").splitlines())


def test_rows_are_chosen_by_kind_class_text_and_decision(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    table = overrides.review_table(run)
    assert list(overrides.select(table, kind="subcategory")["label"]) == ["daisy chain", "radiogram"]
    assert list(overrides.select(table, kind="subcategory", id_label="radio")["label"]) == ["radiogram"]
    assert list(overrides.select(table, match="RADIO")["label"]) == ["radiogram"]
    assert list(overrides.select(table, kind="kept")["label"]) == ["granite", "velvet", "st x"]
    overrides.override(run, ["oslo"], "kept", "ann")
    table = overrides.review_table(run)
    assert list(overrides.select(table, decision="kept")["label"]) == ["granite", "oslo", "velvet", "st x"]
    assert list(table[table["overridden"]]["label"]) == ["oslo"]


def test_a_csv_file_carries_overrides_to_another_run(tmp_path: Path) -> None:
    run, other = make_run(tmp_path), make_run(tmp_path, "other")
    overrides.override(run, ["oslo"], "kept", "ann", 'an opera, "really"')
    overrides.override(run, ["granite"], "dropped", "ann")
    assert overrides.export_csv(run, tmp_path / "o.csv") == 2
    with (tmp_path / "o.csv").open("a", encoding="utf-8") as file:
        file.write("paris,kept,,,\n")
    added, unknown = overrides.import_csv(other, tmp_path / "o.csv", "bob")
    assert labels(other) == labels(run)
    assert unknown == ["paris"]
    assert {(o.negative, o.reason, o.who) for o in added} == {
        ("oslo", 'an opera, "really"', "bob"),
        ("granite", "", "bob"),
    }


@pytest.mark.parametrize(("text", "message"), [("a,b\n", "lacks the columns"), ("", "cannot read"),
                                               ("negative,decision\noslo,perhaps\n", "not 'perhaps'")])  # fmt: skip
def test_a_csv_file_that_is_none_of_ours_is_explained(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "o.csv").write_text(text, encoding="utf-8")
    with pytest.raises(NegRefineError, match=message):
        overrides.import_csv(make_run(tmp_path), tmp_path / "o.csv", "bob")


def test_the_command_line_overrides_undoes_and_asks_before_bulk(tmp_path: Path) -> None:
    run = make_run(paths.RUNS, "cli-overrides")
    command = ["override", "--name", run.name]
    one = CliRunner().invoke(app, [*command, "oslo", "--to", "kept", "--reason", "an opera", "--who", "ann"])
    assert "1 overrides made; 4 negatives kept" in one.output
    bulk = [*command, "--kind", "subcategory", "--to", "kept"]
    assert CliRunner().invoke(app, bulk, input="n\n").exit_code == 1
    assert "2 overrides made; 6 negatives kept" in CliRunner().invoke(app, [*bulk, "--yes"]).output
    assert "3 overrides made; 3 negatives kept" in CliRunner().invoke(app, [*command, "--undo", "3"]).output
    exported = CliRunner().invoke(app, [*command, "--export", str(tmp_path / "o.csv")])
    assert "0 overrides written" in exported.output
