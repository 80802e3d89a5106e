"""A person's decisions: appended, undone, exported, and final negatives that are always recomputed."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from negrefine_core import overrides, paths
from negrefine_core.cli import app
from negrefine_core.errors import NegRefineError
from negrefine_core.judge import Question
from negrefine_core.mining import Negative
from negrefine_core.negfilter import Verdict
from negrefine_core.run_files.info import ScoredWith
from negrefine_core.runs import Run, Settings, class_list_hash

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
    assert len(run.info.permutation) == 2
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


def test_agreeing_is_a_line_of_its_own_that_changes_no_negative_and_can_be_undone(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    before = run.path("negatives.csv").read_bytes()
    assert [(o.old, o.new) for o in overrides.confirm(run, ["oslo", "granite"], "ann")] == [
        ("dropped", "dropped"), ("kept", "kept"),
    ]  # fmt: skip
    assert overrides.confirm(run, ["oslo"], "ann") == []  # once is enough
    assert run.path("negatives.csv").read_bytes() == before
    table = overrides.review_table(run).set_index("label")
    assert list(table.index[table["reviewed"]]) == ["granite", "oslo"]
    assert not table["overridden"].any()
    overrides.override(run, ["oslo"], "kept", "ann")
    assert overrides.review_table(run).set_index("label").loc["oslo", "overridden"]
    overrides.undo(run, "ann")  # the agreement is in force again
    assert overrides.in_force(run.overrides)["oslo"].new == "dropped"
    overrides.undo(run, "ann", 2)
    assert overrides.in_force(run.overrides) == {}
    assert labels(run) == ["granite", "velvet", "st x"]
    with pytest.raises(NegRefineError, match="'paris' is no mined negative"):
        overrides.confirm(run, ["paris"], "ann")


def test_restored_and_dropped_again_is_reviewed_and_not_overridden(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    overrides.override(run, ["oslo"], "kept", "ann")
    overrides.override(run, ["oslo"], "dropped", "ann")
    row = overrides.review_table(run).set_index("label").loc["oslo"]
    assert (row["reviewed"], row["overridden"], row["decision"]) == (True, False, "dropped")


def test_scores_know_whether_they_are_of_the_negatives_there_are_now(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    for image_set in ("a", "b"):
        run.write_scores(image_set, tmp_path, pd.DataFrame({"path": ["x.png"], "negrefine": [1.0]}))
    assert overrides.outdated_scores(run) == {}  # a run of before there were records
    overrides.override(run, ["oslo", "granite"], "dropped", "ann")
    assert overrides.outdated_scores(run) == {"a": 1, "b": 1}  # oslo was dropped already
    now = ScoredWith(negatives=class_list_hash(n.label for n in run.negatives), overrides=len(run.overrides))
    run.write_scores("a", tmp_path, pd.DataFrame({"path": ["x.png"], "negrefine": [1.0]}), now)
    assert overrides.outdated_scores(run) == {"b": 1}
    overrides.confirm(run, ["velvet"], "ann")
    assert overrides.outdated_scores(run) == {"b": 1}
    overrides.override(run, ["radiogram"], "kept", "ann")
    assert overrides.outdated_scores(run) == {"a": 1, "b": 2}
    overrides.undo(run, "ann", 3)
    assert overrides.outdated_scores(run) == {"a": 1}  # granite is back


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
        file.write("paris,kept,,,\nvelvet,dropped,,,\n")
    added, unknown = overrides.import_csv(other, tmp_path / "o.csv", "bob")
    assert labels(other) == [label for label in labels(run) if label != "velvet"]
    assert unknown == ["paris"]
    assert {(o.negative, o.reason, o.who) for o in added} == {
        ("oslo", 'an opera, "really"', "ann"),  # who decided stays who did
        ("granite", "", "ann"),
        ("velvet", "", "bob"),  # the file does not say
    }


def test_a_csv_file_carries_agreement_too_and_is_applied_whole_or_not_at_all(tmp_path: Path) -> None:
    run, other = make_run(tmp_path), make_run(tmp_path, "other")
    overrides.confirm(run, ["oslo"], "ann", "a city")
    overrides.override(run, ["granite"], "dropped", "ann")
    overrides.export_csv(run, tmp_path / "o.csv")
    overrides.import_csv(other, tmp_path / "o.csv", "bob")
    assert {o.negative: (o.new, o.reason) for o in overrides.in_force(other.overrides).values()} == {
        "oslo": ("dropped", "a city"), "granite": ("dropped", ""),
    }  # fmt: skip
    everything = "".join(f"{label},dropped\n" for label in labels(other))
    (tmp_path / "all.csv").write_text("negative,decision\nradiogram,dropped\n" + everything, encoding="utf-8")
    lines = len(other.overrides)
    with pytest.raises(NegRefineError, match="keep at least one"):
        overrides.import_csv(other, tmp_path / "all.csv", "bob")
    assert len(other.overrides) == lines


@pytest.mark.parametrize(("text", "message"), [("negative,decision\noslo,kept\noslo,dropped\n", "both"),
                                               ("a,b\n", "lacks the columns"), ("", "cannot read"),
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


def seen(run: Run) -> overrides.Seen:
    return overrides.Seen.of(overrides.review_table(run), run.overrides)


def test_a_decision_on_what_was_decided_meanwhile_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    before = seen(run)
    (written,) = overrides.decide(run, "oslo", "kept", "ann", "an opera", before)
    log = run.path("overrides.jsonl").read_bytes()
    for decision in ("kept", "dropped"):
        with pytest.raises(overrides.DecidedMeanwhileError, match=r"ann .* 'oslo' is kept .*: 'an opera'") as told:
            overrides.decide(run, "oslo", decision, "bob", "", before)
        assert list(told.value.lines) == [written]
    with pytest.raises(overrides.DecidedMeanwhileError, match="1 of these 2 labels"):
        overrides.override(run, ["granite", "oslo"], "dropped", "bob", "", before)
    with pytest.raises(overrides.DecidedMeanwhileError, match="1 of these 2 labels"):
        overrides.confirm(run, ["granite", "oslo"], "bob", "", before)
    with pytest.raises(overrides.DecidedMeanwhileError, match="nothing is taken back: meanwhile ann"):
        overrides.undo(run, "bob", until=before.until)
    assert run.path("overrides.jsonl").read_bytes() == log
    assert overrides.confirm(run, ["granite"], "bob", "", before)  # nobody decided on this one


def test_a_decision_that_was_taken_back_again_is_as_it_was_seen(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    overrides.confirm(run, ["oslo"], "ann")
    before = seen(run)
    overrides.override(run, ["oslo"], "kept", "ann")
    overrides.undo(run, "ann")
    assert overrides.decide(run, "oslo", "kept", "bob", "", before)[0].old == "dropped"


DECIDING = """
import sys
from pathlib import Path
from negrefine_core import overrides
from negrefine_core.runs import Run
run = Run(Path(sys.argv[1]))
seen = overrides.Seen.of(overrides.review_table(run), run.overrides)
print("ready", flush=True)
input()
try:
    print(len(overrides.decide(run, "oslo", "kept", sys.argv[2], "", seen)))
except overrides.DecidedMeanwhileError as error:
    print(error)
"""


@pytest.mark.slow
def test_of_two_processes_that_saw_the_same_one_decides_and_the_other_is_told(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    arguments = [sys.executable, "-c", DECIDING, str(run.folder)]
    both = [
        subprocess.Popen([*arguments, who], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for who in ("ann", "bob")
    ]
    for each in both:
        assert each.stdout
        assert each.stdout.readline() == "ready\n"
    for each in both:
        assert each.stdin
        each.stdin.write("\n")
        each.stdin.flush()
    told = sorted(each.communicate()[0] for each in both)
    (entry,) = run.overrides
    assert told[0] == "1\n"
    assert f"meanwhile {entry.who} decided that 'oslo' is kept" in told[1]
