"""The published label lists, logs and results become a run."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from negrefine_core import paths
from negrefine_core.cli import app
from negrefine_core.errors import NegRefineError
from negrefine_core.judge import Question
from negrefine_core.judges.replay import ReplayJudge
from negrefine_core.negfilter import clean_negatives, judge_chains
from negrefine_core.overrides import override, rejections, review_table, undo
from negrefine_core.reference import import_reference, logged_verdicts
from negrefine_core.run_files.info import PublishedResult
from negrefine_core.runs import Run


@pytest.fixture(scope="module")
def published(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return import_reference(golden / "imagenet-seed0", runs=tmp_path_factory.mktemp("runs"))


def small(
    folder: Path, log: str = "oslo | proper noun \nrock | fox | \nrock | oak | subcategory \nsky | fox | \n"
) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "initial_neg_labels_noun.txt").write_text("sky\nrock!\noslo\n", encoding="utf-8")
    (folder / "initial_neg_labels_adj.txt").write_text("", encoding="utf-8")
    (folder / "llm_process_noun.txt").write_text(log + "-----\nn_proper: 1\n", encoding="utf-8")
    (folder / "llm_process_adj.txt").write_text("", encoding="utf-8")
    return folder


def test_the_published_folder_gives_the_published_negatives_in_their_order(published: Run, golden: Path) -> None:
    nouns, adjectives = (
        (golden / "imagenet-seed0" / f"neg_labels_{part}.txt").read_text(encoding="utf-8").splitlines()
        for part in ("noun", "adj")
    )
    assert (len(nouns), len(adjectives)) == (4998, 1372)
    assert [n.label for n in published.negatives if n.pos == "noun"] == nouns
    assert [n.label for n in published.negatives if n.pos == "adjective"] == adjectives
    assert [n.label for n in published.negatives] == nouns + adjectives


def test_its_rejections_are_the_published_ones(published: Run) -> None:
    pos = {n.label: n.pos for n in clean_negatives(published.initial_negatives)}
    counts = Counter((pos[label], verdict.kind) for label, verdict in rejections(published).items())
    assert counts == {("noun", "proper noun"): 1748, ("noun", "subcategory"): 275, ("adjective", "subcategory"): 32}
    assert rejections(published)["common sage"].id_label == "safe"


def test_its_figures_and_times_stay_with_the_run(published: Run) -> None:
    info = published.info.published
    assert info.results["inaturalist"] == PublishedResult(auroc=0.9957057860000001, fpr95=0.0151)
    assert len(info.results) == 7
    assert sorted(info.seconds.values()) == [82.48, 5173.99, 8368.32]
    assert (info.arch, info.seed) == ("ViT-B/16", 0)
    assert len(published.id_labels) == 1000


def test_a_restored_label_returns_to_its_place_in_the_published_order(published: Run) -> None:
    before = [n.label for n in published.negatives]
    override(published, ["common sage"], "kept", "me", "a herb")
    after = [n.label for n in published.negatives]
    place = [label for label in review_table(published)["label"] if label in set(after)]
    assert after == place
    assert [label for label in after if label != "common sage"] == before
    undo(published, "me")
    assert [n.label for n in published.negatives] == before


def test_the_replayed_log_answers_as_it_did(golden: Path) -> None:
    judge = ReplayJudge(logged_verdicts(str(golden / "imagenet-seed0")), "published")
    ((proper, sage),) = judge_chains(
        judge, [[Question("common sage", "proper noun"), Question("common sage", "subcategory", "safe")]]
    )
    assert (proper.answer, sage.answer) == ("no", "yes")


def test_only_the_text_files_are_opened(tmp_path: Path) -> None:
    folder = small(tmp_path / "out")
    (folder / "pos_features.pkl").write_bytes(b"cos\nsystem\n(S'touch /tmp/opened'\ntR.")
    (folder / "pos_features.pkl").chmod(0)
    run = import_reference(folder, "small", ["fox", "oak"], tmp_path / "runs")
    assert [n.label for n in run.negatives] == ["sky"]
    assert [(v.kind, v.answer) for v in run.verdicts if v.negative == "rock"] == [
        ("proper noun", "no"), ("subcategory", "no"), ("subcategory", "yes"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "llm_process_adj.txt").unlink(), "cannot read"),
        (lambda folder: small(folder, "oslo\n"), "line 1: 'oslo'"),
        (lambda folder: (folder / "neg_labels_noun.txt").write_text("oslo\n"), "different runs"),
        (lambda folder: (folder / "llm_process_noun.txt").write_bytes(b"\xff\xfe"), "not UTF-8"),
        (lambda folder: small(folder, "sky | cat | \n"), "'cat'"),
    ],
)
def test_a_damaged_folder_is_explained_and_leaves_no_run(tmp_path: Path, change: object, message: str) -> None:
    folder = small(tmp_path / "out")
    change(folder)  # type: ignore[operator]
    with pytest.raises(NegRefineError, match=message):
        import_reference(folder, "small", ["fox", "oak"], tmp_path / "runs")
    assert list((tmp_path / "runs").glob("*")) == []


def test_the_command_line_imports_and_does_not_overwrite(tmp_path: Path) -> None:
    folder, ids = small(tmp_path / "out"), tmp_path / "ids.txt"
    ids.write_text("fox\noak\n", encoding="utf-8")
    command = ["import-reference", str(folder), "--name", "cli-import", "--id-labels", str(ids)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "1 nouns and 0 adjectives kept; rejected: 1 proper nouns, 1 subcategories" in result.output
    assert "already" in str(CliRunner().invoke(app, command).exception)
    shutil.rmtree(paths.RUNS / "cli-import")
