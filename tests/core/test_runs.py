"""A run folder: made once, resumed, never half-written, and clear about damage."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from negrefine_core import paths, runs, show
from negrefine_core.errors import NegRefineError, UnknownIdSetError
from negrefine_core.mining import Negative
from negrefine_core.negfilter import Verdict
from negrefine_core.paths import from_portable, portable, write_atomically
from negrefine_core.run_files import scores as score_files
from negrefine_core.run_files.bundled import BUNDLED_RUN, unpack_bundled_run
from negrefine_core.runs import Run, Settings
from tests.support.project import ROOT

IDS = ["red fox", "café", "犬"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create("mine", Settings(), IDS, tmp_path)


def verdict(negative: str = "rock", **changes: Any) -> Verdict:
    values = {
        "negative": negative, "kind": "proper noun", "id_label": None, "similarity": None,
        "prompt": f"Is '{negative}'?",
        "reply": "No\u2028é\n", "answer": "no", "judge": "wordnet", "time": "2025-01-01T00:00:00+00:00", "latency": 0.0,
    }  # fmt: skip
    return Verdict(**(values | changes))


# --- making and opening ----------------------------------------------------------------------------------------------


def test_a_run_holds_its_settings_its_labels_and_its_versions(run: Run, tmp_path: Path) -> None:
    assert run.id_labels == IDS
    info = json.loads((tmp_path / "mine" / "run.json").read_text(encoding="utf-8"))
    assert Settings.model_validate(info["settings"]) == Settings()
    assert info["class_list_hash"] == runs.class_list_hash(IDS) != runs.class_list_hash(IDS[::-1])
    assert {"python", "torch", "open_clip_torch", "nltk"} <= set(info["versions"])
    assert (tmp_path / "mine" / "id_labels.txt").read_bytes() == "red fox\ncafé\n犬\n".encode()
    assert runs.run_names(tmp_path) == ["mine"]


def test_the_same_settings_and_labels_resume_a_run(run: Run, tmp_path: Path) -> None:
    before = run.path("run.json").read_bytes()
    again = Run.create("mine", Settings(), IDS, tmp_path)
    assert (again.settings, again.id_labels) == (run.settings, IDS)
    assert run.path("run.json").read_bytes() == before


@pytest.mark.parametrize(
    ("settings", "labels", "difference"),
    [(Settings(seed=1), IDS, "seed 0 -> 1"),
     (Settings(fraction=0.2, alpha=1), IDS, r"fraction 0\.15 -> 0\.2; alpha 2\.0 -> 1\.0"),
     (Settings(ood_images={"a": "b"}), IDS, r"ood_images \{\} -> \{'a': 'b'\}"),
     (Settings(), IDS[:2], r"ID labels \(3 -> 2 names\)"),
     (Settings(), IDS[::-1], "ID labels")],
)  # fmt: skip
def test_other_settings_or_labels_are_refused_with_the_difference(
    run: Run, tmp_path: Path, settings: Settings, labels: list[str], difference: str
) -> None:
    with pytest.raises(NegRefineError, match=f"'mine' was made with other settings: .*{difference}.*another name"):
        Run.create("mine", settings, labels, tmp_path)
    assert Run.open("mine", tmp_path).id_labels == IDS


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/abs", ".hidden", "-rf", "a b", "x" * 81, "x" * 300,
                                  "a\nb", "a\n", "é", "a\0b", "a\\b"])  # fmt: skip
def test_a_hostile_name_makes_no_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "runs").mkdir()
    with pytest.raises(NegRefineError, match="cannot name a run; use letters"):
        Run.create(name, Settings(), IDS, tmp_path / "runs")
    assert [path.name for path in tmp_path.rglob("*")] == ["runs"]


@pytest.mark.parametrize("name", ["", "..", "no such", "x" * 300, "../mine", "a\0b"])
def test_a_run_that_is_not_there_names_those_that_are(run: Run, tmp_path: Path, name: str) -> None:
    with pytest.raises(NegRefineError, match=r"no run .*runs there: "):
        Run.open(name, tmp_path)
    assert "mine" in runs.run_names(tmp_path)


def test_a_run_opens_by_its_folder_too(run: Run, tmp_path: Path) -> None:
    assert Run.open(tmp_path / "mine").id_labels == IDS
    assert Run.open(str(tmp_path / "mine")).name == "mine"


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "3", '"x"', "{}", '{"settings": 3}', "\xff"])
def test_a_damaged_run_file_is_named(run: Run, tmp_path: Path, content: str) -> None:
    run.path("run.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(NegRefineError, match=r"mine/run\.json"):
        Run.open("mine", tmp_path)


def test_a_setting_that_cannot_be_is_named(run: Run, tmp_path: Path) -> None:
    info = json.loads(run.path("run.json").read_bytes())
    for key, value in (("fraction", 7), ("top_k", 0), ("no_such", 1)):
        damaged = info | {"settings": info["settings"] | {key: value}}
        damaged.pop("check")  # as a person takes it out who changes the file
        run.path("run.json").write_text(json.dumps(damaged), encoding="utf-8")
        with pytest.raises(NegRefineError, match=rf"run\.json: settings\.{key}: "):
            Run.open("mine", tmp_path)


def test_lost_labels_are_named(run: Run) -> None:
    run.path("id_labels.txt").unlink()
    with pytest.raises(NegRefineError, match=r"id_labels\.txt cannot be read"):
        _ = run.id_labels


# --- files -----------------------------------------------------------------------------------------------------------


def test_negatives_come_back_as_they_were_written(run: Run) -> None:
    negatives = [Negative('a, "quoted" one', "noun", 0.123456), Negative("big place", "adjective", -0.5)]
    for write, read in ((run.write_initial_negatives, "initial_negatives"), (run.write_negatives, "negatives"),
                        (run.write_neglabel_negatives, "neglabel_negatives")):  # fmt: skip
        write(negatives)
        assert getattr(run, read) == negatives
    run.write_negatives(negatives, [1, 0])
    assert run.info.permutation == (1, 0)


def test_a_step_left_out_is_named(run: Run) -> None:
    with pytest.raises(NegRefineError, match=r"has no initial_negatives\.csv yet; do the step 'mine' first"):
        _ = run.initial_negatives
    with pytest.raises(NegRefineError, match=r"has no negatives\.csv yet; do the step 'refine' first"):
        _ = run.negatives
    with pytest.raises(NegRefineError, match="no metrics yet; do the step 'evaluate' first"):
        _ = run.metrics
    with pytest.raises(NegRefineError, match="no scores of 'pets'; scored: nothing yet"):
        run.scores("pets")


def test_verdicts_are_appended_line_by_line_and_come_back(run: Run) -> None:
    with run.verdict_log() as log:
        log.append(verdict("rock"))
        assert len(run.verdicts) == 1  # with the operating system at once
    with run.verdict_log() as log:
        log.append(verdict("tree", reply="No\nreally", id_label="café"))
    assert list(run.verdicts) == [verdict("rock"), verdict("tree", reply="No\nreally", id_label="café")]
    assert run.path("verdicts.jsonl").read_bytes().count(b"\n") == 2


@pytest.mark.parametrize("keep", [1, 20, -1])
def test_a_torn_last_line_is_ignored_and_cut_before_the_next(run: Run, keep: int) -> None:
    with run.verdict_log() as log:
        log.append(verdict("rock"))
        log.append(verdict("cut"))
    whole = run.path("verdicts.jsonl").read_bytes()
    first = whole.index(b"\n") + 1
    run.path("verdicts.jsonl").write_bytes(whole[: first + keep] if keep > 0 else whole[:keep])
    assert [v.negative for v in run.verdicts] == ["rock"]
    with run.verdict_log() as log:
        log.append(verdict("tree"))
    assert [v.negative for v in run.verdicts] == ["rock", "tree"]


def test_a_line_torn_within_a_letter_is_ignored_too(run: Run) -> None:
    with run.verdict_log() as log:
        log.append(verdict("rock"))
    with run.path("verdicts.jsonl").open("ab") as file:
        file.write('{"negative": "é'.encode()[:-1])
    assert [v.negative for v in run.verdicts] == ["rock"]


def test_a_damaged_line_in_the_middle_is_an_error_that_names_the_file(run: Run) -> None:
    run.path("verdicts.jsonl").write_bytes(b"garbage\n")
    with pytest.raises(NegRefineError, match=r"verdicts\.jsonl is damaged"):
        _ = run.verdicts


def test_damaged_scores_and_metrics_are_errors_that_name_the_file(run: Run, tmp_path: Path) -> None:
    run.write_scores("pets", tmp_path, pd.DataFrame({"path": ["a.png"], "negrefine": [1.5]}))
    (run.path("scores") / "pets.parquet").write_bytes(b"garbage")
    run.path("metrics.json").write_text("{")
    with pytest.raises(NegRefineError, match=r"pets\.parquet is damaged .* score the image set again"):
        run.scores("pets")
    with pytest.raises(NegRefineError, match=r"metrics\.json is damaged .* evaluate again"):
        _ = run.metrics


def test_scores_without_lists_and_the_lists_of_some_images_are_those_of_the_whole_table(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_files, "PART", 7)
    letters = "abcdefghijklmnopqrst"
    table = pd.DataFrame(
        {
            "path": [f"{i}.png" for i in range(20)],
            "class": [None if i % 3 else "cat" for i in range(20)],
            "negrefine": [i / 20 for i in range(20)],
            "id_labels": [[letters[i % 4], letters[i % 3]] for i in range(20)],
            "negative_labels": [list(letters[i : i + i % 5]) for i in range(20)],
            "negative_sims": [[float(i)] * (i % 5) for i in range(20)],
        }
    )
    run.write_scores("pets", tmp_path, [table.iloc[:13], table.iloc[13:]])
    whole, flat = run.scores("pets"), run.flat_scores("pets")
    pd.testing.assert_frame_equal(flat[["path", "class", "negrefine"]], whole[["path", "class", "negrefine"]])
    assert flat["id_label"].tolist() == whole["id_labels"].str[0].tolist()
    assert flat["negative_similarity"].fillna(-1).tolist() == whole["negative_sims"].str[0].fillna(-1).tolist()
    rows = [19, 3, 0, 8, 3]
    lists = run.score_lists("pets", rows)
    for name in ("id_labels", "negative_labels", "negative_sims"):
        assert [list(values) for values in lists[name]] == [list(values) for values in whole[name].iloc[rows]]
    tops = run.top_negatives("pets")
    assert tops.astype(str).tolist() == [label for labels in whole["negative_labels"] for label in labels]
    assert tops.index.tolist() == [i for i, labels in enumerate(whole["negative_labels"]) for _ in labels]
    assert list(run.scores("pets", ["path"]).columns) == ["path"]


def test_scores_come_back_with_their_lists_and_their_folder(run: Run, tmp_path: Path) -> None:
    table = pd.DataFrame({"path": ["a.png"], "negrefine": [1.5], "id_labels": [["dog", "cat"]]})
    run.write_scores("pets.v2", tmp_path / "photos", table)
    run.write_scores("123", tmp_path / "other", table)
    assert run.scored_sets == ["123", "pets.v2"]
    assert run.scores("pets.v2")["id_labels"][0].tolist() == ["dog", "cat"]
    assert run.image_root("pets.v2") == tmp_path / "photos"
    with pytest.raises(NegRefineError, match=r"no scores of 'pets'; scored: 123, pets\.v2"):
        run.scores("pets")


def test_skipped_images_of_each_set_are_replaced_and_sorted(run: Run) -> None:
    assert run.skipped.empty
    run.write_skipped("pets", [("b.png", "not a picture"), ("a.png", "empty, file")])
    run.write_skipped("2012", [("1", "NA")])
    run.write_skipped("2012", [("1", "NA")])
    run.write_skipped("pets", [("b.png", "not a picture"), ("caf\udce9.png", "its name")])
    assert run.skipped.to_numpy().tolist() == [
        ["2012", "1", "NA"], ["pets", "b.png", "not a picture"], ["pets", "caf\\udce9.png", "its name"],
    ]  # fmt: skip


# --- atomic writing and portable paths -------------------------------------------------------------------------------


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomically(tmp_path / "x", "old")

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(NegRefineError, match=r"cannot write .*/x \(no space left\); what was there before is kept"):
        write_atomically(tmp_path / "x", "new")
    assert [(path.name, path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()] == [("x", "old")]


def test_a_writer_killed_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from negrefine_core.paths import write_atomically
for i in range(10**9):
    write_atomically(Path(sys.argv[1]), str(i % 10) * 300_000)
"""
    for delay in (0.0, 0.02, 0.05):
        writer = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "x")], cwd=ROOT)
        while not (tmp_path / "x").exists():
            time.sleep(0.01)
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        content = (tmp_path / "x").read_text(encoding="utf-8")
        assert len(content) == 300_000
        assert len(set(content)) == 1
        (tmp_path / "x").unlink()


def test_paths_in_the_project_are_kept_relative_to_it_and_others_whole(tmp_path: Path) -> None:
    inside = paths.BUNDLED / "images" / "animals"
    assert portable(inside) == "data/images/animals"
    assert from_portable("data/images/animals") == inside
    assert portable(tmp_path) == tmp_path.resolve().as_posix()
    assert from_portable(portable(tmp_path)) == tmp_path.resolve()


def test_runs_and_caches_go_where_the_environment_says_and_bundled_data_stays() -> None:
    assert os.environ["NEGREFINE_DATA"] == str(paths.DATA)
    assert paths.RUNS.parent == paths.CACHE.parent == paths.DATA
    assert paths.LEXICON.is_relative_to(ROOT)


@pytest.mark.parametrize(
    "bad", [{"fraction": 0}, {"fraction": 1.1}, {"top_k": 0}, {"n_groups": 0}, {"mcm_temperature": 0}, {"unknown": 1}]
)
def test_settings_that_cannot_be_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        Settings(**bad)


def test_a_runs_state_changes_with_its_files_and_differs_from_another_runs(run: Run, tmp_path: Path) -> None:
    before = run.state("negatives.csv", "run.json")
    assert before == run.state("negatives.csv", "run.json")
    run.write_negatives([Negative("rock", "noun", 0.1)])
    after = run.state("negatives.csv", "run.json")
    assert after != before
    assert [negative.label for negative in run.negatives] == ["rock"]
    run.write_negatives([Negative("sand", "noun", 0.1)])  # the same length: its time and inode tell
    assert [negative.label for negative in run.negatives] == ["sand"]
    assert Run.create("other", Settings(), IDS, tmp_path).state("none") != run.state("none")


def test_the_shipped_runs_files_have_the_time_at_which_they_were_made(tmp_path: Path) -> None:
    unpack_bundled_run(BUNDLED_RUN, tmp_path)
    assert Run.open("demo", tmp_path).path("scores/animals.parquet").stat().st_mtime < time.time() - 3600


def test_uploaded_pictures_that_another_run_has_scored_stay_when_their_set_is_removed(run: Run, tmp_path: Path) -> None:
    uploaded = run.path("images") / "pets"
    uploaded.mkdir(parents=True)
    other = Run.create("other", Settings(), IDS, tmp_path)
    for each in (run, other):
        each.write_scores("pets", uploaded, pd.DataFrame({"path": ["a.png"]}))
    assert (runs.others_with(run, "pets"), runs.others_with(other, "pets")) == (["other"], [])
    runs.remove_image_set(run, "pets")
    assert uploaded.is_dir()
    assert (run.scored_sets, other.scored_sets) == ([], ["pets"])
    run.write_scores("pets", uploaded, pd.DataFrame({"path": ["a.png"]}))
    runs.remove_image_set(other, "pets")
    assert uploaded.is_dir()  # they are the other's
    runs.remove_image_set(run, "pets")
    assert not uploaded.exists()


def test_no_image_set_is_taken_for_the_id_set_until_somebody_says_so(tmp_path: Path) -> None:
    run = Run.create("said", Settings(), ["cat"], tmp_path)
    for name in ("a", "b"):
        run.write_scores(name, tmp_path / name, pd.DataFrame({"path": ["x"], "negrefine": [1.0]}))
    assert (run.role("a"), run.id_sets, run.id_set, run.unknown_sets) == ("unknown", [], None, ["a", "b"])
    with pytest.raises(UnknownIdSetError, match=r"which image set of the run 'said'.* --id.*Scored: a, b"):
        run.known_id_set()
    assert run.known_id_set("b") == "b"
    run.set_role("a", "OOD")
    run.write_metrics({"id_set": "a", "images": {"a": 1, "b": 1}, "methods": {}})  # as an older version guessed
    assert run.id_set is None
    run.set_role("b", "ID")
    assert (run.id_sets, run.id_set, run.known_id_set()) == (["b"], "b", "b")
    assert not run.path("metrics.json").exists(), "they had ID and OOD exchanged"


def test_the_folders_that_a_run_was_made_with_say_what_they_show(tmp_path: Path) -> None:
    folders = Settings(id_images=str(tmp_path / "in"), ood_images={"out": str(tmp_path / "out")})
    run = Run.create("made", folders, ["cat"], tmp_path)
    for name in ("in", "out", "more"):
        run.write_scores(name, tmp_path / name, pd.DataFrame({"path": ["x"], "negrefine": [1.0]}))
    assert [run.role(name) for name in ("in", "out", "more")] == ["ID", "OOD", "unknown"]
    run.set_role("in", "OOD")  # a person knows better
    assert run.id_set is None


def scored_run(tmp_path: Path, *names: str) -> Run:
    run = Run.create("three", Settings(), ["cat"], tmp_path)
    for name in names:
        run.write_scores(name, tmp_path / name, pd.DataFrame({"path": ["x", "y"], "negrefine": [1.0, 2.0]}))
    return run


def test_what_nobody_said_or_knows_is_no_ood_set_and_no_figure_takes_it_in(tmp_path: Path) -> None:
    run = scored_run(tmp_path, "cats", "cars", "trip", "mixed")
    run.set_role("cats", "ID")
    run.set_role("mixed", "unknown")
    with pytest.raises(NegRefineError, match=r"nobody has said what these show: cars, mixed, trip. Name it .*--ood"):
        run.known_ood_sets("cats")
    run.set_role("cars", "OOD")
    assert (run.id_sets, run.ood_sets, run.unknown_sets) == (["cats"], ["cars"], ["mixed", "trip"])
    assert run.known_ood_sets("cats") == ["cars"]
    assert run.known_ood_sets("cats", ["trip"]) == ["trip"], "the person names it"
    assert set(show.scored(run)["image_set"]) == {"cats", "cars"}


def test_metrics_of_before_roles_were_noted_say_which_sets_are_ood_and_are_remembered(tmp_path: Path) -> None:
    run = scored_run(tmp_path, "cats", "cars", "trip")
    run.update_info(roles={"cats": "ID"})  # as the command line noted it
    run.write_metrics({"id_set": "cats", "images": {"cats": 2, "cars": 2}, "methods": {}})
    assert (run.ood_sets, run.unknown_sets) == (["cars"], ["trip"])
    run.set_role("cars", "unknown")
    assert run.unknown_sets == ["cars", "trip"], "a person knows better"
    assert not run.path("metrics.json").exists()

    run = scored_run(tmp_path / "other", "cats", "cars", "trip")
    run.update_info(roles={"cats": "ID"})
    run.write_metrics({"id_set": "cats", "images": {"cats": 2, "cars": 2, "trip": 2}, "methods": {}})
    runs.remove_image_set(run, "trip")  # and the metrics with it
    assert (run.ood_sets, run.info.roles) == (["cars"], {"cats": "ID", "cars": "OOD"})


def test_a_role_that_is_said_again_takes_only_metrics_away_that_took_it_otherwise(tmp_path: Path) -> None:
    run = scored_run(tmp_path, "cats", "cars", "trip")
    for name, role in (("cats", "ID"), ("cars", "OOD")):
        run.set_role(name, role)  # type: ignore[arg-type]
    run.write_metrics({"id_set": "cats", "images": {"cats": 2, "cars": 2}, "methods": {}})
    run.set_role("trip", "OOD")
    run.set_role("cars", "OOD")
    assert run.path("metrics.json").exists()
    run.set_role("cars", "ID")
    assert not run.path("metrics.json").exists()


@pytest.mark.parametrize("role", [True, "id", "", None])
def test_a_role_that_is_none_is_refused_and_nothing_is_written(run: Run, role: Any) -> None:
    before = run.info
    with pytest.raises(NegRefineError, match="no role of an image set; say one of ID, OOD, unknown"):
        run.set_role("pets", role)
    assert run.info == before
