"""The published label lists, logs and results become a run."""

import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import open_clip
import pytest
from typer.testing import CliRunner

from negrefine_core import paths, reference
from negrefine_core.cli import app
from negrefine_core.errors import NegRefineError
from negrefine_core.judge import Question
from negrefine_core.judges.replay import ReplayJudge
from negrefine_core.labels import read_class_list
from negrefine_core.negfilter import clean_negatives, judge_chains
from negrefine_core.overrides import override, review_table, undo
from negrefine_core.reference import MODELS, import_reference, logged_verdicts
from negrefine_core.run_files.info import PublishedResult
from negrefine_core.runs import Run, run_names
from tests.support.project import ROOT


@pytest.fixture(scope="module")
def published(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return import_reference(golden / "imagenet-seed0", runs=tmp_path_factory.mktemp("runs"))


LOG = "oslo | proper noun \nrock | fox | \nrock | oak | subcategory \nsky | fox | \nsky | oak | \n"
IDS = ["fox", "oak"]
RESULT = (
    "Namespace(in_dataset_name='waterbird', ood_dataset_name_list=['placesbg'], arch='ViT-B/16', seed=3, "
    "device='cuda:0', output_folder='output/', load_saved_labels=False)\n"
    "------------------------------------------\n\n--- Creating initial negative labels using CSP\n"
    "time: 1.50 seconds\n"
    "number of initial negative labels — nouns: 3, adjectives: 0 - total: 3\n\n--- Final results\n\n"
    "------------------ placesbg -------------------\nscore0     auroc: 0.99    fpr: 5e-05\n\n"
)


def small(folder: Path, log: str = LOG, mined: str = "sky\nrock!\noslo\n") -> Path:
    """A folder as the published code writes it, counts at the logs' ends included."""
    folder.mkdir(exist_ok=True)
    for part, (labels, lines) in {"noun": (mined, log), "adj": ("", "")}.items():
        counted = (lines.count(f" | {word} ") for word in ("proper noun", "the same", "subcategory"))
        end = "---\n" + "".join(
            f"{n}: {c}\n" for n, c in zip(("n_proper", "n_same", "n_subcatgeory"), counted, strict=True)
        )
        (folder / f"initial_neg_labels_{part}.txt").write_text(labels, encoding="utf-8")
        (folder / f"llm_process_{part}.txt").write_text(lines + end, encoding="utf-8")
    return folder


def imported(folder: Path, ids: list[str] | None = IDS) -> Run:
    return import_reference(folder, "small", ids, Path(tempfile.mkdtemp(dir=folder.parent)))


@pytest.mark.slow
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
    counts = Counter((pos[label], verdict.kind) for label, verdict in published.rejections.items())
    assert counts == {("noun", "proper noun"): 1748, ("noun", "subcategory"): 275, ("adjective", "subcategory"): 32}
    assert published.rejections["common sage"].id_label == "safe"


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


@pytest.mark.slow
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
    run = imported(folder)
    assert [n.label for n in run.negatives] == ["sky"]
    assert [(v.kind, v.answer) for v in run.verdicts if v.negative == "rock"] == [
        ("proper noun", "no"), ("subcategory", "no"), ("subcategory", "yes"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "llm_process_adj.txt").unlink(), "cannot read"),
        (lambda folder: small(folder, "oslo\n"), "line 1: 'oslo'"),
        (lambda folder: (folder / "neg_labels_noun.txt").write_text("oslo\n"), "neg_labels_adj.txt"),
        (lambda folder: [(folder / f"neg_labels_{part}.txt").write_text("") for part in ("noun", "adj")], "0 others"),
        (lambda folder: (folder / "llm_process_noun.txt").write_bytes(b"\xff\xfe"), "not UTF-8"),
        (lambda folder: small(folder, "sky | cat | \n"), "'cat'"),
        (lambda folder: small(folder, LOG.replace("sky | oak | \n", "")), "'sky' after 1 of 2 classes"),
        (lambda folder: small(folder, LOG.replace("oslo", "rome")), "'rome', which initial_neg_labels"),
        (lambda folder: small(folder, LOG + "oslo | fox | \n"), "'oslo' after its last question"),
        (lambda folder: small(folder, LOG.replace("oslo", "rock")), "'rock' after its last question"),
        (lambda folder: small(folder, LOG.replace("sky | oak", "sky | fox")), "asks about 'sky' twice"),
        (lambda folder: small(folder, LOG + "---\n" + LOG), "line 7 comes after its end"),
        (lambda folder: small(folder, LOG.replace("| fox |", "|  |")), "line 2: 'rock |  | ' is not 'negative"),
        (lambda folder: small(folder, "", ""), "no labels in it"),
        (lambda folder: (folder / "llm_process_noun.txt").write_text(LOG + "n_proper: 1\n"), "counts n_proper 1, its"),
        (lambda folder: (folder / "llm_process_noun.txt").write_text(LOG + "---\n"), "its end counts nothing, its"),
        (lambda folder: (folder / "result.txt").write_text(""), "result.txt is cut or damaged: it lacks the line Na"),
        (lambda folder: (folder / "result.txt").write_text(RESULT.replace("0.99", "0.q9")), "'0.q9' stands in place"),
        (lambda folder: (folder / "result.txt").write_text(RESULT.replace("1.50", "1.x0")), "a time in it is no numb"),
        (lambda folder: (folder / "result.txt").write_text(RESULT.replace("nouns: 3", "nouns: 4")), "counts 4 initial"),
        (lambda folder: (folder / "result.txt").write_text(RESULT[:-30]), "it has results of 0 of 1 OOD sets"),
        (lambda folder: (folder / "result.txt").write_text(RESULT.replace("B/16", "B/8")), "'ViT-B/8', none of ViT-"),
    ],
)
def test_a_damaged_folder_is_explained_and_leaves_no_run(tmp_path: Path, change: object, message: str) -> None:
    folder = small(tmp_path / "out")
    change(folder)  # type: ignore[operator]
    with pytest.raises(NegRefineError, match=message) as raised:
        import_reference(folder, "small", ["fox", "oak"], tmp_path / "runs")
    assert "\n" not in str(raised.value)
    assert list((tmp_path / "runs").rglob("*")) == []


def test_damage_to_any_file_anywhere_is_told_or_changes_nothing(tmp_path: Path) -> None:
    folder = small(tmp_path / "out")
    (folder / "result.txt").write_text(RESULT, encoding="utf-8")
    (folder / "neg_labels_noun.txt").write_text("sky\n")
    (folder / "neg_labels_adj.txt").write_text("")
    whole, told = imported(folder), []
    for file in sorted(folder.iterdir()):
        content = file.read_bytes()
        cuts = [content[:end] for end in range(len(content))]
        flips = [
            content[:i] + bytes([content[i] ^ bit]) + content[i + 1 :] for i in range(len(content)) for bit in (1, 128)
        ]
        for damaged in cuts[::3] + (flips[::7] if file.stem != "result" else flips[1::14]):
            file.write_bytes(damaged)
            try:
                run = imported(folder)
            except NegRefineError as error:
                told.append(str(error))
            else:
                assert [n.label for n in run.negatives] == ["sky"]
                assert run.verdicts == whole.verdicts
        file.write_bytes(content)
    assert len(told) > 100
    assert "\n" not in "".join(told)


@pytest.mark.parametrize(
    ("id_set", "class_list"),
    [("imagenet10", "imagenet-10"), ("imagenet20", "imagenet-20"), ("imagenet99", "imagenet-99"),
     ("imagenet100", "imagenet-100"), ("imagenetv2", "imagenet-paper"), ("imagenet_sketch", "imagenet-paper"),
     ("imagenetA", "imagenet-a-paper"), ("imagenetR", "imagenet-r-paper"), ("bird200", "cub-200-paper"),
     ("car196", "stanford-cars"), ("pet37", "oxford-pets"), ("food101", "food-101"), ("waterbird", "waterbirds")],
)  # fmt: skip
def test_the_published_id_set_gives_the_classes_and_the_prompts(tmp_path: Path, id_set: str, class_list: str) -> None:
    ids = read_class_list(class_list).labels
    folder = small(tmp_path / "out", "".join(f"sky | {name} | \n" for name in ids[:10]), "sky\n")
    (folder / "result.txt").write_text(RESULT.replace("waterbird", id_set).replace("nouns: 3", "nouns: 1"))
    run = imported(folder, None)
    assert run.id_labels == list(ids)
    assert (run.settings.sketch_templates, run.settings.seed) == (id_set == "imagenet_sketch", 3)
    assert run.info.published.results == {"placesbg": PublishedResult(auroc=0.99, fpr95=5e-05)}


def test_every_published_architecture_gives_openais_weights_of_it(tmp_path: Path) -> None:
    folder = small(tmp_path / "out")
    for arch, (model, pretrained) in MODELS.items():
        (folder / "result.txt").write_text(RESULT.replace("ViT-B/16", arch))
        run = imported(folder)
        assert (run.settings.model, run.settings.pretrained) == (model, pretrained)
        assert (model, pretrained) == ("paper", None) or (model, pretrained) in open_clip.list_pretrained()


def test_classes_that_nothing_tells_are_asked_for(tmp_path: Path) -> None:
    folder = small(tmp_path / "out")
    with pytest.raises(NegRefineError, match=r"without a result.txt the ID set is not known; give .* --id-labels"):
        imported(folder, None)
    (folder / "result.txt").write_text(RESULT.replace("waterbird", "cifar10"))
    with pytest.raises(NegRefineError, match=r"names the ID set 'cifar10', which is not known; give .* --id-labels"):
        imported(folder, None)
    assert imported(folder).id_labels == IDS


def test_lines_are_read_as_the_published_code_and_editors_write_them(tmp_path: Path) -> None:
    ids = ["fox", "cup | mug", "oak "]
    log = (
        "oslo | proper noun \nfox | cup | mug | \nfox | fox | the same \nteacup | fox | \nteacup | cup | mug | "
        "subcategory \nsky  | fox | \nsky  | oak  | \nsky  | cup | mug | \n"
    )
    folder = small(tmp_path / "out", log, "oslo\nfox\nteacup\nsky 7\n")
    (folder / "neg_labels_noun.txt").write_text("sky \n")
    (folder / "neg_labels_adj.txt").write_text("")
    plain = imported(folder, ids)
    assert [n.label for n in plain.negatives] == ["sky "]
    assert {(v.negative, v.kind, v.id_label) for v in plain.rejections.values()} == {
        ("oslo", "proper noun", None), ("fox", "same", "fox"), ("teacup", "subcategory", "cup | mug"),
    }  # fmt: skip
    for mark in (b"", b"\xef\xbb\xbf"):
        for file in folder.iterdir():
            file.write_bytes(mark + file.read_bytes().removeprefix(b"\xef\xbb\xbf").replace(b"\n", b"\r\n"))
        assert imported(folder, ids).verdicts == plain.verdicts
    assert imported(folder, ["fox", "cup | mug", "oak"]).verdicts[-2].id_label == "oak"


def test_a_noun_that_is_an_adjectives_phrase_too_is_kept_once(tmp_path: Path) -> None:
    folder = small(tmp_path / "out", "".join(f"outer space | {name} | \n" for name in IDS), "outer space\n")
    for name in ("initial_neg_labels", "llm_process"):
        shutil.copy(folder / f"{name}_noun.txt", folder / f"{name}_adj.txt")
    for part in ("noun", "adj"):
        (folder / f"neg_labels_{part}.txt").write_text("outer space\n")
    assert [(n.label, n.pos) for n in imported(folder).negatives] == [("outer space", "noun")]


def test_of_two_imports_of_one_name_the_second_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, runs = small(tmp_path / "out"), tmp_path / "runs"
    first = import_reference(folder, "small", IDS, runs)
    before = {path: path.read_bytes() for path in first.folder.rglob("*") if path.is_file()}
    monkeypatch.setattr(reference, "is_run_name", lambda name: False)  # it looked before the first was done
    with pytest.raises(NegRefineError, match="there is a run 'small' already; choose another with --name"):
        import_reference(folder, "small", IDS, runs)
    assert {path: path.read_bytes() for path in runs.rglob("*") if path.is_file()} == before


def test_an_import_that_is_killed_leaves_nothing_that_the_next_one_does_not_clear(tmp_path: Path) -> None:
    folder, runs = small(tmp_path / "out"), tmp_path / "runs"
    killed = (
        "import os, pathlib; from negrefine_core import reference; "
        "reference.write_final_negatives = lambda run: os._exit(9); "
        f"reference.import_reference({str(folder)!r}, 'small', {IDS}, pathlib.Path({str(runs)!r}))"
    )
    assert subprocess.run([sys.executable, "-c", killed], cwd=ROOT).returncode == 9
    assert run_names(runs) == []
    assert len(list(runs.iterdir())) == 1
    import_reference(folder, "small", IDS, runs)
    assert [path.name for path in runs.iterdir()] == ["small"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(NegRefineError, match=r"cannot write .*runs"):
        import_reference(small(tmp_path / "out"), "small", IDS, tmp_path / "runs")


def test_the_command_line_imports_and_does_not_overwrite(tmp_path: Path) -> None:
    folder, ids = small(tmp_path / "out"), tmp_path / "ids.txt"
    ids.write_text("fox\noak\n", encoding="utf-8")
    command = ["import-reference", str(folder), "--name", "cli-import", "--id-labels", str(ids)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "1 nouns and 0 adjectives kept; rejected: 1 proper nouns, 1 subcategories" in result.output
    assert "already" in str(CliRunner().invoke(app, command).exception)
    shutil.rmtree(paths.RUNS / "cli-import")
