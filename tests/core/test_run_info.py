"""run.json: old files open, newer ones are refused, and what cannot be is named in one line."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from negrefine_core.errors import NegRefineError
from negrefine_core.paths import IMAGES
from negrefine_core.run_files.bundled import BUNDLED_RUN, unpack_bundled_run
from negrefine_core.run_files.info import FORMAT_VERSION, ModelInfo, Published, RunInfo, ScoredWith
from negrefine_core.runs import Run, Settings

IDS = ["red fox", "café"]
OLD: dict[str, Any] = {  # as runs were written before there were versions
    "settings": Settings(id_images="data/images/animals").model_dump(mode="json"),
    "class_list_hash": "180b34211b15",
    "versions": {"python": "3.11.7", "torch": "2.14.1"},
    "model": {"name": "demo", "fingerprint": "0120d310", "precision": "fp32"},
    "device": "cpu",
    "judge": "wordnet",
    "permutation": [1, 2, 0],
    "image_sets": {"animals": "data/images/animals"},
    "roles": {"animals": "ID"},
    "scored_with": {"animals": {"negatives": "0a1b", "overrides": 2}},
    "edited_from": "demo",
    "experiment": "imagenet",
    "labels": "imagenet-paper",
    "seconds": {"mining": 1.5},
    "published": {"source": "result.txt", "seed": 0, "arch": "ViT-B/16", "id_set": "imagenet", "seconds": {"a": 1.0},
                  "results": {"inaturalist": {"auroc": 0.99, "fpr95": 0.01}}},
}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create("mine", Settings(), IDS, tmp_path)


def write(run: Run, content: object) -> None:
    run.path("run.json").write_text(json.dumps(content), encoding="utf-8")


def read(run: Run) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(run.path("run.json").read_text(encoding="utf-8"))
    assert content.pop("check", "")
    return content


def test_a_new_run_says_its_format_version(run: Run) -> None:
    assert read(run)["format_version"] == FORMAT_VERSION
    assert run.info.format_version == FORMAT_VERSION


def test_a_file_without_a_version_opens_and_keeps_all_it_says(run: Run) -> None:
    write(run, OLD)
    info = Run.open(run.folder).info
    assert info.model == ModelInfo(name="demo", fingerprint="0120d310", precision="fp32")
    assert info.permutation == (1, 2, 0)
    assert info.scored_with == {"animals": ScoredWith(negatives="0a1b", overrides=2)}
    assert info.published.results["inaturalist"].auroc == 0.99
    run.update_info(device="cuda")
    published = OLD["published"] | {"judge": ""}
    assert read(run) == OLD | {"format_version": FORMAT_VERSION, "device": "cuda", "published": published}


def test_what_no_step_has_noted_is_empty_and_not_written(run: Run) -> None:
    assert set(read(run)) == {"format_version", "settings", "class_list_hash", "versions"}
    assert (run.info.model, run.info.fingerprint, run.info.model_name) == (None, "", "demo")
    assert (run.info.judge, run.info.roles, run.info.published) == ("", {}, Published())


def test_the_bundled_run_opens(tmp_path: Path) -> None:
    unpack_bundled_run(BUNDLED_RUN, tmp_path)
    run = Run.open("demo", tmp_path)
    info = run.info
    assert (info.model_name, info.judge, info.device) == ("demo", "wordnet", "cpu")
    assert len(info.permutation) == len(set(info.permutation)) > 1000
    assert set(run.scored_sets) == {"animals", "food", "objects", "other_animals", "plants", "vehicles"}
    assert all(run.image_root(name) == IMAGES / name for name in run.scored_sets)


def test_the_first_runs_noted_the_device_with_the_model(run: Run) -> None:
    old = {key: value for key, value in OLD.items() if key != "device"}
    write(run, old | {"model": {"name": "demo", "fingerprint": "0120d310", "device": "cpu"}})
    assert run.info.device == "cpu"
    assert run.info.fingerprint == "0120d310"


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, 1000])
def test_a_newer_version_is_refused_with_what_to_do(run: Run, version: int) -> None:
    write(run, OLD | {"format_version": version, "settings": "of another shape", "new": 1})
    expected = rf"mine/run\.json has format version {version}, and this program knows up to {FORMAT_VERSION}; update"
    with pytest.raises(NegRefineError, match=expected):
        Run.open(run.folder)


@pytest.mark.parametrize(
    ("change", "field"),
    [({"colour": "red"}, "colour"),
     ({"format_version": "new"}, "format_version"),
     ({"format_version": 0}, "format_version"),
     ({"settings": None}, "settings"),
     ({"judge": None}, "judge"),
     ({"device": 3}, "device"),
     ({"image_sets": None}, "image_sets"),
     ({"image_sets": {"pets": 3}}, "image_sets.pets"),
     ({"roles": {"pets": "mine"}}, "roles.pets"),
     ({"scored_with": {"pets": {"negatives": "a"}}}, "scored_with.pets.overrides"),
     ({"scored_with": {"pets": {"negatives": "a", "overrides": -1}}}, "scored_with.pets.overrides"),
     ({"model": "demo"}, "model"),
     ({"model": {"name": "demo"}}, "model.fingerprint"),
     ({"model": {"name": "demo", "fingerprint": "0", "size": 3}}, "model.size"),
     ({"permutation": "210"}, "permutation"),
     ({"permutation": [0, "x"]}, "permutation.1"),
     ({"seconds": {"mining": "long"}}, "seconds.mining"),
     ({"published": {"results": {"a": {"auroc": 1}}}}, "published.results.a.fpr95")],
)  # fmt: skip
def test_what_cannot_be_is_named_with_the_file_in_one_line(run: Run, change: dict[str, Any], field: str) -> None:
    write(run, OLD | change)
    with pytest.raises(NegRefineError) as error:
        Run.open(run.folder)
    assert str(error.value).startswith(f"{run.path('run.json')}: {field}: ")
    assert "\n" not in str(error.value)


def test_a_field_that_there_is_not_cannot_be_written(run: Run) -> None:
    before = run.path("run.json").read_bytes()
    for values in ({"colour": "red"}, {"roles": {"pets": "mine"}}):
        with pytest.raises(ValueError, match=next(iter(values))):
            run.update_info(**values)
    assert run.path("run.json").read_bytes() == before


def test_what_was_read_does_not_change_with_the_file(run: Run) -> None:
    before = run.info
    run.set_role("pets", "ID")
    assert (before.roles, run.info.roles) == ({}, {"pets": "ID"})


def test_who_holds_the_run_reads_and_writes_it_while_another_waits(run: Run) -> None:
    other = threading.Thread(target=lambda: Run.open(run.folder).set_role("theirs", "OOD"))
    with run.locked():
        other.start()
        for number in range(20):
            Run(run.folder).set_role(f"mine{number}", "ID")  # held already, also by another object
        assert "theirs" not in run.info.roles
    other.join(60)
    assert len(run.info.roles) == 21


def test_a_copy_can_be_made_of_a_run_that_was_held_and_be_held_by_itself(run: Run) -> None:
    with run.locked():
        copied = run.copy("copied")
        copied.set_role("pets", "ID")
    assert run.info == RunInfo(**dict(read(run)))
    assert (run.info.roles, copied.info.roles) == ({}, {"pets": "ID"})
