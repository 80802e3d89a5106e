"""What was cut short, damaged or done by two at once is brought to its end, or said: never a figure without a word."""

import contextlib
import json
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from negrefine_core import overrides, paths, pipeline, reviews
from negrefine_core.errors import NegRefineError, UnfinishedError
from negrefine_core.judge import Question
from negrefine_core.records import Answer, Negative, Verdict
from negrefine_core.run_files import logs
from negrefine_core.run_files.info import ScoredWith
from negrefine_core.runs import Run, Settings, class_list_hash, remove_image_set
from tests.support.runs import drawn_scores

WORDS = ["granite", "oslo", "velvet", "banana", "rust", "mud"]


def answered(negative: str, id_label: str | None, answer: Answer = "no") -> Verdict:
    question = Question(negative, "subcategory" if id_label else "proper noun", id_label)
    return Verdict(negative, question.kind, id_label, 0.3, question.prompt, answer, answer, "wordnet", "", 0.0)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A judged run: oslo is rejected."""
    run = Run.create("r", Settings(n_groups=2), ["daisy", "radio"], tmp_path)
    run.write_initial_negatives(Negative(word, "noun", i / 10) for i, word in enumerate(WORDS))
    run.write_neglabel_negatives(Negative(word, "noun", i / 10) for i, word in enumerate(WORDS))
    with run.verdict_log() as log:
        for word in WORDS:
            log.append(answered(word, None, "yes" if word == "oslo" else "no"))
    run.note_judge("wordnet")
    overrides.write_final_negatives(run)
    return run


def labels(run: Run) -> list[str]:
    return [negative.label for negative in run.negatives]


def score(run: Run, image_set: str, seed: int = 0) -> None:
    now = ScoredWith(negatives=class_list_hash(labels(run)), overrides=run.info.overrides)
    table = drawn_scores([f"{i}.png" for i in range(8)], 1.5, seed)
    run.write_scores(image_set, run.folder.parent / image_set, table, now, [("x.png", "not a picture")])


def killed_before(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """A process that ends where this function would be called."""

    def end(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(place, end)


# --- cut short -------------------------------------------------------------------------------------------------------


def test_a_decision_that_was_logged_and_not_applied_is_applied_by_who_reads_next(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    score(run, "pets")
    killed_before(monkeypatch, "negrefine_core.overrides.write_final_negatives")
    with pytest.raises(KeyboardInterrupt):
        overrides.override(run, ["granite"], "dropped", "ann")
    monkeypatch.undo()
    assert "granite" in run.path("negatives.csv").read_text(encoding="utf-8")
    assert labels(run) == ["velvet", "banana", "rust", "mud"]
    assert "granite" not in run.path("negatives.csv").read_text(encoding="utf-8")
    assert overrides.outdated_scores(run) == {"pets": 1}


def test_a_list_that_is_not_judged_to_its_end_is_not_final_and_not_decided_on(tmp_path: Path) -> None:
    run = Run.create("half", Settings(), ["daisy"], tmp_path)
    run.write_initial_negatives(Negative(word, "noun", 0.1) for word in WORDS)
    with run.verdict_log() as log:
        log.append(answered("granite", None))
    for work in (lambda: overrides.override(run, ["granite"], "dropped", "ann"), lambda: run.negatives):
        with pytest.raises(UnfinishedError, match="do the step 'refine'"):
            work()
    assert not run.path("negatives.csv").exists()
    assert run.overrides == []


def test_scores_say_themselves_what_they_were_made_from(run: Run) -> None:
    score(run, "pets")
    overrides.override(run, ["granite"], "dropped", "ann")
    assert overrides.outdated_scores(run) == {"pets": 1}
    assert run.info.image_sets == run.info.scored_with == {}, "nothing is noted beside them that a kill could lose"
    score(run, "pets")
    assert overrides.outdated_scores(run) == {}
    assert run.image_root("pets") == run.folder.parent / "pets"


def test_metrics_of_other_scores_than_there_are_now_are_not_shown(run: Run) -> None:
    for name in ("pets", "cars"):
        score(run, name)
    run.set_role("pets", "ID")
    pipeline.evaluate(run, "pets", ["cars"], n_bootstrap=5)
    assert run.metrics["id_set"] == "pets"
    score(run, "cars", seed=1)
    with pytest.raises(UnfinishedError, match=r"'cars' are others than the metrics .* evaluate again"):
        _ = run.metrics


@pytest.mark.parametrize("place", ["Run.update_info", "Run._forget", "Run._write"])
def test_a_removal_that_was_cut_short_can_be_done_again_to_the_end(
    place: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run.path("images") / "pets").mkdir(parents=True)
    for name in ("pets", "cars"):
        score(run, name)
    run.set_role("pets", "ID")
    pipeline.evaluate(run, "pets", ["cars"], n_bootstrap=5)
    killed_before(monkeypatch, f"negrefine_core.runs.{place}")
    with pytest.raises(KeyboardInterrupt):
        remove_image_set(run, "pets")
    monkeypatch.undo()
    remove_image_set(run, "pets")
    assert (run.scored_sets, run.info.roles, list(run.skipped["image_set"])) == (["cars"], {"cars": "OOD"}, ["cars"])
    assert not run.path("metrics.json").exists()
    assert not (run.path("images") / "pets").exists()


def test_what_a_killed_process_left_half_written_is_swept(run: Run) -> None:
    in_processes((leave_half, (run.folder,)))
    assert len(list(run.folder.glob(".partial-*"))) == 1
    with paths.temporary_folder(run.folder) as mine:  # of a process that lives
        Run.open(run.folder)
        assert list(run.folder.glob(".partial-*")) == [mine]


def leave_half(folder: Path) -> None:
    import os

    with paths.temporary_folder(folder):
        os._exit(0)  # as a kill: nothing is tidied


# --- two at once -----------------------------------------------------------------------------------------------------


def in_processes(*works: tuple[Callable[..., None], tuple[object, ...]]) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=work, args=arguments) for work, arguments in works]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0


def decide(folder: Path, words: list[str]) -> None:
    for word in words:
        overrides.override(Run(folder), [word], "dropped", "ann")


def take_back(folder: Path) -> None:
    overrides.undo(Run(folder), "bob")


def test_decisions_of_two_at_once_are_all_kept_and_applied(run: Run) -> None:
    in_processes((decide, (run.folder, ["granite", "velvet"])), (decide, (run.folder, ["banana", "rust"])))
    assert labels(run) == ["mud"]
    assert [entry.number for entry in run.overrides] == [0, 1, 2, 3]


def test_two_undos_at_once_undo_two_decisions(run: Run) -> None:
    decide(run.folder, ["granite", "velvet", "banana"])
    in_processes((take_back, (run.folder,)), (take_back, (run.folder,)))
    assert sorted(entry.undoes for entry in run.overrides if entry.undoes is not None) == [1, 2]
    assert labels(run) == ["velvet", "banana", "rust", "mud"]


def hold(folder: Path, begun: Path, ended: Path) -> None:
    with Run(folder).doing("refine"):
        begun.touch()
        while not ended.exists():
            time.sleep(0.01)


def test_a_second_process_that_would_do_the_same_step_is_told_who_does_it(run: Run, tmp_path: Path) -> None:
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    process = multiprocessing.get_context("fork").Process(target=hold, args=(run.folder, begun, ended))
    process.start()
    while not begun.exists():
        time.sleep(0.01)
    expected = f"'refine' of the run 'r' is being done by process {process.pid}"
    with pytest.raises(NegRefineError, match=expected), run.doing("refine"):
        pass
    overrides.override(run, ["granite"], "dropped", "ann")  # meanwhile people decide
    ended.touch()
    process.join(60)
    with run.doing("refine"):
        pass


# --- damaged ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["id_labels.txt", "initial_negatives.csv", "neglabel_negatives.csv", "verdicts.jsonl"])
def test_a_file_that_is_cut_at_the_end_of_a_line_is_not_used(name: str, run: Run) -> None:
    lines = run.path(name).read_bytes().splitlines(keepends=True)
    run.path(name).write_bytes(b"".join(lines[:-1]))
    with pytest.raises(NegRefineError, match=name.replace(".", r"\.")):
        _ = (run.id_labels, run.negatives, run.neglabel_negatives)


def test_the_verdicts_of_another_run_are_not_taken_for_this_ones(run: Run) -> None:
    path = run.path("verdicts.jsonl")
    path.unlink()
    with run.verdict_log() as log:
        log.append(answered("granite", "bicycle", "yes"))
        for word in WORDS[1:]:
            log.append(answered(word, None, "yes" if word == "oslo" else "no"))
    with pytest.raises(UnfinishedError, match="lost lines or is another run's; do the step 'refine' again"):
        run.negatives  # noqa: B018 - it is read
    run.note_judge("wordnet")  # as the step does at its end
    assert "granite" in labels(run)  # nobody here asked about bicycles


def test_decisions_that_are_lost_are_said(run: Run) -> None:
    decide(run.folder, ["granite", "velvet"])
    lines = run.path("overrides.jsonl").read_bytes().splitlines(keepends=True)
    for left in (lines[:1], []):
        run.path("overrides.jsonl").write_bytes(b"".join(left))
        with pytest.raises(NegRefineError, match=r"overrides\.jsonl ends before the last line"):
            labels(run)
    run.path("overrides.jsonl").unlink()
    with pytest.raises(NegRefineError, match="lines of it are lost"):
        overrides.override(run, ["rust"], "dropped", "ann")


def test_two_decisions_that_changed_places_are_found(run: Run) -> None:
    decide(run.folder, ["granite", "velvet"])
    first, second = run.path("overrides.jsonl").read_bytes().splitlines(keepends=True)
    run.path("overrides.jsonl").write_bytes(second + first)
    with pytest.raises(NegRefineError, match=r"line 2 \(it stands after a later one"):
        labels(run)


def test_following_the_advice_on_a_damaged_line_brings_no_undone_decision_back(run: Run) -> None:
    decide(run.folder, ["granite", "velvet"])
    overrides.undo(run, "ann", 2)
    decide(run.folder, ["rust"])
    lines = run.path("overrides.jsonl").read_bytes().split(b"\n")
    lines[0] = lines[0].replace(b"granite", b"granits")
    run.path("overrides.jsonl").write_bytes(b"\n".join(lines))
    with pytest.raises(NegRefineError, match=r"damaged in line 1 .* empty that line, without taking it out"):
        labels(run)
    for advice in ([b"", *lines[1:]], lines[1:]):  # as it says, and as some will do
        run.path("overrides.jsonl").write_bytes(b"\n".join(advice))
        logs._parsed_overrides.cache_clear()
        assert labels(run) == ["granite", "velvet", "banana", "mud"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"negative": "granite"}', "Field required|kind"),
        ('{"colour": 1}', "colour|negative"),
        ("[]", "object|dictionary"),
        ("null", "object|dictionary"),
        ("{", "JSON"),
        ("\ud800", "JSON"),
    ],
)
@pytest.mark.parametrize("name", ["verdicts.jsonl", "overrides.jsonl"])
def test_a_line_that_cannot_be_is_named_by_its_number(name: str, line: str, reason: str, run: Run) -> None:
    decide(run.folder, ["granite"])
    with run.path(name).open("ab") as file:
        file.write(line.encode("utf-8", "surrogatepass") + b"\n")
    place = run.path(name).read_bytes().count(b"\n")
    with pytest.raises(NegRefineError, match=rf"{name} is damaged in line {place} \(.*({reason})"):
        _ = (run.verdicts, run.overrides)


FILES = (
    "run.json",
    "id_labels.txt",
    "initial_negatives.csv",
    "neglabel_negatives.csv",
    "negatives.csv",
    "verdicts.jsonl",
    "overrides.jsonl",
    "reviews.jsonl",
    "scores/pets.parquet",
    "skipped.csv",
    "metrics.json",
)
WORKED_OUT = ("negatives.csv", "skipped.csv")  # anew, of the others


def finished(run: Run) -> Run:
    for image_set in ("pets", "cars"):
        score(run, image_set)
    run.set_role("pets", "ID")
    decide(run.folder, ["granite"])
    reviews.decide(run, "ann", {"granite": ("dropped", "a stone")})
    pipeline.evaluate(run, "pets", ["cars"], n_bootstrap=5)
    return run


def everything(run: Run) -> list[object]:
    """All that a finished run of pets and cars says, to be compared."""
    found = Run.open(run.folder)
    tables = [found.scores(image_set).to_dict() for image_set in ("pets", "cars")]
    labels = [
        found.id_labels,
        found.negatives,
        found.neglabel_negatives,
        found.overrides,
        found.reviews,
        found.verdicts,
    ]
    return [*labels, str(tables), found.metrics, found.info, overrides.outdated_scores(found), found.skipped.to_dict()]


def outcome(run: Run, name: str, whole: list[object]) -> str:
    try:
        return "equal" if everything(run) == whole else "wrong"
    except NegRefineError as error:
        return "clear" if name.rpartition("/")[2] in str(error) else str(error)


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_anywhere_in_a_file_is_found_or_changes_nothing(name: str, run: Run) -> None:
    whole, data, generator = everything(finished(run)), run.path(name).read_bytes(), np.random.default_rng(0)
    outcomes = []
    for _ in range(60):
        damaged = bytearray(data)
        damaged[generator.integers(len(data))] ^= 1 << generator.integers(8)
        run.path(name).write_bytes(damaged)
        outcomes.append(outcome(run, name, whole))
    assert set(outcomes) <= {"equal", "clear"}
    assert outcomes.count("clear") > 40 or name in WORKED_OUT


@pytest.mark.parametrize("content", ["null", '"text"', "3", "[]"])
@pytest.mark.parametrize("name", ["run.json", "metrics.json"])
def test_another_kind_of_json_is_one_line(name: str, content: str, run: Run) -> None:
    run.path(name).write_text(content, encoding="utf-8")
    with pytest.raises(NegRefineError, match=name.replace(".", r"\.")):
        _ = (run.info, run.metrics)


@pytest.mark.parametrize("wrong", [[0, 0, 0, 0], [1, 2, 3, 4], [0, 1, 2, -1], None, "0123"])
def test_a_permutation_that_is_none_is_refused(wrong: object, run: Run) -> None:
    info = json.loads(run.path("run.json").read_bytes()) | {"permutation": wrong}
    info.pop("check")
    run.path("run.json").write_text(json.dumps(info), encoding="utf-8")
    with pytest.raises(NegRefineError, match=r"run\.json: permutation"):
        Run.open(run.folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_an_alpha_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Settings(alpha=value)


@pytest.mark.parametrize("name", FILES)
def test_a_folder_where_a_file_should_be_is_one_line_or_changes_nothing(name: str, run: Run) -> None:
    whole = everything(finished(run))
    run.path(name).unlink()
    run.path(name).mkdir()
    (run.path(name) / "x").touch()
    assert outcome(run, name, whole) == ("equal" if name in WORKED_OUT else "clear")


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_gone_or_empty_is_one_line_or_changes_nothing(name: str, run: Run) -> None:
    whole = everything(finished(run))
    run.path(name).write_bytes(b"")
    assert outcome(run, name, whole) == ("equal" if name in WORKED_OUT else "clear")
    run.path(name).unlink()
    with contextlib.suppress(NegRefineError):
        assert everything(run) == whole


def test_skipped_images_are_what_the_scores_say_whatever_is_in_their_file(run: Run) -> None:
    score(run, "pets")
    run.path("skipped.csv").write_text("image_set,path,reason\n", encoding="utf-8")
    assert run.skipped.to_numpy().tolist() == [["pets", "x.png", "not a picture"]]


def test_scores_of_another_set_or_of_other_classes_are_refused(run: Run, tmp_path: Path) -> None:
    for name in ("pets", "cars"):
        score(run, name)
    other = Run.create("other", Settings(), ["cat"], tmp_path)
    other.write_scores("pets", tmp_path, drawn_scores(["a.png"], 1.0, 3))
    for source in (run.path("scores/cars.parquet"), other.path("scores/pets.parquet")):
        run.path("scores/pets.parquet").write_bytes(source.read_bytes())
        with pytest.raises(NegRefineError, match="scores of other images or ID labels"):
            run.scores("pets")


def test_a_full_disk_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    score(run, "pets")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(NegRefineError, match=r"cannot write .*No space left on device"):
        overrides.override(run, ["granite"], "dropped", "ann")
    for work in (lambda: score(run, "pets"), lambda: run.set_role("pets", "ID")):
        with pytest.raises(NegRefineError, match=r"cannot write .*No space left on device"):
            work()
    monkeypatch.undo()
    assert len(run.scores("pets")) == 8


def test_scores_of_before_they_said_what_they_were_made_from_are_read(run: Run) -> None:
    table = drawn_scores(["a.png"], 1.0, 3)
    run.path("scores").mkdir()
    table.to_parquet(run.path("scores/pets.parquet"))
    with pytest.raises(NegRefineError, match=r"pets\.parquet does not say what it was made from"):
        run.scores("pets")  # nothing of before knows of them either
    run.update_info(image_sets={"pets": "/pictures"}, scored_with={"pets": {"negatives": "x", "overrides": 0}})
    assert run.scores("pets").to_dict()["negrefine"] == table.to_dict()["negrefine"]
    assert (run.image_root("pets"), overrides.outdated_scores(run)) == (Path("/pictures"), {"pets": 0})
    score(run, "pets")
    assert (run.info.image_sets, run.info.scored_with, overrides.outdated_scores(run)) == ({}, {}, {})


def test_damaged_scores_can_be_removed_or_made_again(run: Run) -> None:
    finished(run).set_role("cars", "OOD")
    for name in ("pets", "cars"):
        run.path(f"scores/{name}.parquet").write_bytes(b"garbage")
    assert run.id_set == "pets", "its role is said"
    score(run, "pets")
    assert len(run.scores("pets")) == 8
    remove_image_set(run, "cars")
    assert run.scored_sets == list(run.skipped["image_set"]) == ["pets"]
