"""The paper's experiments from end to end on miniatures of their image sets."""

import shutil
from functools import lru_cache
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from negrefine_core import encoder, lexicon, paths
from negrefine_core.benchmarks import seeds as benchmark
from negrefine_core.benchmarks.experiments import experiment, experiments, seeds_of
from negrefine_core.cli import app
from negrefine_core.errors import NegRefineError
from negrefine_core.labels import SKETCH_TEMPLATES, read_class_list
from negrefine_core.methods import measured
from negrefine_core.metrics import ood_metrics
from negrefine_core.pipeline import noun_templates
from negrefine_core.runs import Run
from tests.support.miniatures import write_all


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("datasets")
    write_all(folder)
    return folder


LOAD_ONCE = lru_cache(encoder.load_encoder)


@pytest.fixture(autouse=True)
def _loaded_once(monkeypatch: pytest.MonkeyPatch, wordnet: lexicon.WordNet) -> None:
    """Each command loads the model and WordNet, which takes longer than all the rest: here they share them."""
    monkeypatch.setattr("negrefine_core.judges.wordnet.WordNet", {"bundled": wordnet}.__getitem__)
    monkeypatch.setattr(encoder, "load_encoder", LOAD_ONCE)


@pytest.fixture(autouse=True)
def _short_lexicon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A five-hundredth of the lexicon, and a word of each file: the whole of it takes minutes."""
    lemmas = lexicon.bundled_first_lemmas()
    one_a_file = {lexname: (lemma, lexname) for lemma, lexname in lemmas}
    short = (*lemmas[::500], *one_a_file.values())
    monkeypatch.setattr(lexicon, "bundled_first_lemmas", lambda: short)


def run_benchmark(*arguments: object) -> Result:
    options = ("--model", "demo", "--device", "cpu", "--partial")
    return CliRunner().invoke(app, ["benchmark", *map(str, arguments), *options])


@pytest.mark.parametrize("name", [entry.name for entry in experiments()])
def test_each_experiment_of_the_paper_runs_from_its_sets_to_its_table(name: str, root: Path) -> None:
    entry = experiment(name)
    done = run_benchmark(name, "--root", root, "--seeds", 1)
    assert done.exit_code == 0, done.exception
    run = Run.open(f"{name}-seed0")
    assert run.id_labels == list(read_class_list(entry.labels).labels)
    assert sorted(run.scored_sets) == sorted(entry.image_sets)
    assert run.id_sets == [entry.id]
    assert (noun_templates(run) == SKETCH_TEMPLATES) == (name == "imagenet-sketch")
    table = pd.read_csv(paths.DATA / "benchmarks" / f"{name}.csv")
    assert set(table["ood_set"]) == {*entry.image_sets[1:], "average"}
    assert len(table) == len(measured()) * len(entry.image_sets)
    assert table[["auroc", "fpr95"]].notna().all(axis=None)
    document = (paths.DATA / "benchmarks" / f"{name}.md").read_text(encoding="utf-8")
    assert document.startswith(f"# {entry.title}\n\nModel demo, judge wordnet, ")
    assert "Not as published: " in document
    assert document.count("\n| ") == len(table) + 1


def test_the_table_has_the_mean_and_spread_over_seeds_beside_the_papers_figures(root: Path) -> None:
    done = run_benchmark("imagenet", "--root", root, "--seeds", 2, "--convention", "both", "--methods", "negrefine,MCM")
    assert done.exit_code == 0, done.exception
    table = pd.read_csv(paths.DATA / "benchmarks" / "imagenet.csv")
    assert list(table["method"].unique()) == ["NegRefine", "MCM"]
    entry, runs = experiment("imagenet"), [Run.open(f"imagenet-seed{seed}") for seed in (0, 1)]
    for convention in ("id-positive", "ood-positive"):
        rows = table[(table["convention"] == convention) & (table["method"] == "NegRefine")].set_index("ood_set")
        measured = {
            name: [
                100 * ood_metrics(run.scores(entry.id)["negrefine"], run.scores(name)["negrefine"], convention).fpr95
                for run in runs
            ]
            for name in entry.image_sets[1:]
        }
        assert rows.loc["sun", "fpr95"] == pytest.approx(sum(measured["sun"]) / 2)
        assert rows.loc["sun", "fpr95_deviation"] == pytest.approx(pd.Series(measured["sun"]).std(), abs=1e-4)
        averages = [sum(measured[name][seed] for name in entry.ood) / 4 for seed in (0, 1)]
        assert rows.loc["average", "fpr95"] == pytest.approx(sum(averages) / 2)
    id_positive = table[table["convention"] == "id-positive"].set_index(["method", "ood_set"])
    assert tuple(id_positive.loc[("NegRefine", "average"), ["paper_auroc", "paper_fpr95"]]) == (91.79, 30.12)
    assert tuple(id_positive.loc[("NegRefine", "sun"), ["paper_auroc", "paper_fpr95"]]) == (94.64, 22.93)
    assert pd.isna(id_positive.loc[("MCM", "sun"), "paper_auroc"])
    assert table[table["convention"] == "ood-positive"]["paper_fpr95"].isna().all()
    assert "judging" in done.output
    assert "(paper: 8,368)" in done.output
    assert "| sun* | NegRefine | " in done.output


def test_a_stopped_benchmark_goes_on_where_it_was_and_a_finished_one_does_nothing(root: Path) -> None:
    assert run_benchmark("waterbirds", "--root", root, "--seeds", 1, "--name", "resumed").exit_code == 0
    run = Run.open("resumed-seed0")
    files = [path for path in run.folder.rglob("*") if path.is_file() and path.name != "run.json"]
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}
    assert run_benchmark("waterbirds", "--root", root, "--seeds", 1, "--name", "resumed").exit_code == 0
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files} == before
    for name in ("negatives.csv", "metrics.json", "scores/waterbirds.parquet"):  # as if it had been killed
        run.path(name).unlink()
    assert run_benchmark("waterbirds", "--root", root, "--seeds", 1, "--name", "resumed").exit_code == 0
    changed = {path for path in files if path.stat().st_mtime_ns != before[path][0]}
    assert {path.name for path in changed} >= {"negatives.csv", "metrics.json", "waterbirds.parquet"}
    assert run.path("scores/waterbirds-backgrounds.parquet") not in changed
    assert {path: path.read_bytes() for path in files} == {path: content for path, (_, content) in before.items()}


def test_pictures_that_came_later_are_scored(root: Path, tmp_path: Path) -> None:
    for folder in ("waterbird_complete95_forest2water2", "placesbg"):
        shutil.copytree(root / folder, tmp_path / folder)
    arguments = ("waterbirds", "--root", tmp_path, "--seeds", 1, "--name", "grown")
    assert run_benchmark(*arguments).exit_code == 0
    shutil.copy(root / "SUN" / "images" / "00000000.jpg", tmp_path / "placesbg" / "new.jpg")
    assert run_benchmark(*arguments).exit_code == 0
    assert len(Run.open("grown-seed0").scores("waterbirds-backgrounds")) == 4


def test_the_published_class_names_are_used_when_asked_for(root: Path) -> None:
    done = run_benchmark("imagenet-a", "--root", root, "--seeds", 1, "--paper-labels", "--name", "published-names")
    assert done.exit_code == 0, done.exception
    assert Run.open("published-names-seed0").id_labels.count("American") == 4
    assert "200 class names (imagenet-a-paper)" in done.output


def test_the_seeds_of_a_benchmark_are_its_own_runs_that_are_scored_whole(root: Path) -> None:
    for name in ("seeds", "seeds-seed0"):  # the second's runs are called like the first's
        assert run_benchmark("imagenet-20", "--root", root, "--seeds", 2, "--name", name).exit_code == 0
    run = Run.open("seeds-seed1")
    assert [other.name for other in seeds_of(run)] == ["seeds-seed0", "seeds-seed1"]
    run.path("scores/imagenet-10.parquet").unlink()
    assert [other.name for other in seeds_of(run)] == ["seeds-seed0"]
    Run.open("seeds-seed0").path("run.json").write_text("{", encoding="utf-8")
    assert seeds_of(run) == []


def test_incomplete_sets_stop_a_benchmark_before_anything_is_computed(root: Path) -> None:
    done = CliRunner().invoke(app, ["benchmark", "sun-cars", "--root", str(root)])
    assert "no experiment 'sun-cars'; choose one of imagenet," in str(done.exception)
    done = CliRunner().invoke(app, ["benchmark", "cub-200", "--root", str(root), "--name", "incomplete"])
    assert isinstance(done.exception, NegRefineError)
    assert "the image sets are not as published" in str(done.exception)
    assert "CUB-200-2011: 197 of 200 class folders are missing" in done.output
    assert not (paths.RUNS / "incomplete-seed0").exists()


def test_an_unknown_method_or_convention_names_the_known_ones(root: Path) -> None:
    with pytest.raises(NegRefineError, match="no method 'odin'; choose of MCM, "):
        benchmark.chosen_methods("mcm, odin")
    assert [method.name for method in benchmark.chosen_methods("csp,mcm")] == ["CSP", "MCM"]
    done = run_benchmark("cub-200", "--root", root, "--convention", "auroc")
    assert "--convention takes id, ood, both, pytorch-ood, not 'auroc'" in str(done.exception)


def test_the_list_names_all_thirteen() -> None:
    done = CliRunner().invoke(app, ["benchmark", "--list"])
    assert [line.split()[0] for line in done.output.splitlines()[1:]] == [entry.name for entry in experiments()]
