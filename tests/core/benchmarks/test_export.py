"""Scores for other tools, and the detector in pytorch-ood's convention, against pytorch-ood's own metrics."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from pytorch_ood.api import Detector
from pytorch_ood.metrics import OODMetrics
from typer.testing import CliRunner

from negrefine_core.benchmarks.export import SIGN, export_scores
from negrefine_core.benchmarks.ood_detector import OODDetector
from negrefine_core.cache import CachedEncoder
from negrefine_core.cli import app
from negrefine_core.detector import NegRefineDetector
from negrefine_core.encoder import OpenClipEncoder
from negrefine_core.errors import NegRefineError
from negrefine_core.methods import measured
from negrefine_core.metrics import ood_metrics
from negrefine_core.run_files.bundled import BUNDLED_RUN, unpack_bundled_run
from negrefine_core.runs import Run
from tests.support.pictures import picture
from tests.support.project import ROOT


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    runs = tmp_path_factory.mktemp("shipped")
    unpack_bundled_run(BUNDLED_RUN, runs)
    return Run.open("demo", runs)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_the_table_has_every_image_with_its_set_and_scores(run: Run, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / "new" / f"scores.{suffix}"
    count = export_scores(run, file)
    table = pd.read_parquet(file) if suffix == "parquet" else pd.read_csv(file)
    assert count == len(table) == sum(len(run.scores(name)) for name in run.scored_sets)
    columns = [method.column for method in measured(run.scores("food"))]
    assert list(table.columns) == ["path", "image_set", "is_id", *columns]
    assert set(table[table["is_id"]]["image_set"]) == {"animals"}
    food = table[table["image_set"] == "food"]
    np.testing.assert_allclose(food["negrefine"], run.scores("food")["negrefine"], rtol=1e-6)
    note = file.with_name(f"{file.name}.README.txt").read_text(encoding="utf-8")
    assert SIGN in note
    assert "neglabel_baseline  NegLabel" in note


def test_parquet_states_the_sign_in_the_file_and_in_every_score(run: Run, tmp_path: Path) -> None:
    export_scores(run, tmp_path / "scores.parquet", image_sets=["animals", "food"])
    schema = pq.read_schema(tmp_path / "scores.parquet")
    assert schema.metadata[b"sign"] == SIGN.encode()
    for method in measured(run.scores("food")):
        metadata = schema.field(method.column).metadata
        assert (metadata[b"sign"], metadata[b"method"]) == (SIGN.encode(), method.name.encode())


def test_the_notes_line_for_pytorch_ood_gives_its_users_our_figures(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "scores.csv"
    export_scores(run, file, image_sets=["animals", "food"])
    table = pd.read_csv(file)
    (line,) = [x for x in file.with_name("scores.csv.README.txt").read_text().splitlines() if "OODMetrics" in x]
    theirs = eval(line.strip(), {"OODMetrics": OODMetrics, "torch": torch, "table": table}).compute()  # noqa: S307
    ours = ood_metrics(run.scores("animals")["negrefine"], run.scores("food")["negrefine"], "pytorch-ood")
    assert theirs["AUROC"] == pytest.approx(ours.auroc, abs=1e-6)
    assert theirs["FPR95TPR"] == pytest.approx(ours.fpr95, abs=1e-6)


def test_another_kind_of_file_or_set_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(NegRefineError, match=r"'scores\.xlsx' must end in \.parquet or \.csv"):
        export_scores(run, tmp_path / "scores.xlsx")
    with pytest.raises(NegRefineError, match=r"no ID set among the scored ones \(food\); name it with --id"):
        export_scores(run, tmp_path / "scores.csv", image_sets=["food"])


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_an_export_that_fails_leaves_the_old_files_and_is_one_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    file = tmp_path / f"scores.{kind}"
    export_scores(run, file, image_sets=["animals"])
    before = contents(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for owner, name in ((pq, "write_table"), (pd.DataFrame, "to_csv"), (Path, "write_text"), (os, "fsync")):
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, full)
            if (name, kind) not in {("write_table", "csv"), ("to_csv", "parquet")}:
                with pytest.raises(NegRefineError, match=rf"cannot write .*scores\.{kind} \(No space left on device\)"):
                    export_scores(run, file)
        assert contents(tmp_path) == before


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("taken", ["scores.parquet", "scores.parquet.README.txt"])
def test_a_folder_in_an_exports_place_is_told(run: Run, tmp_path: Path, taken: str) -> None:
    (tmp_path / taken / "deep").mkdir(parents=True)
    with pytest.raises(NegRefineError, match=r"cannot write .*scores\.parquet \(Is a directory\)"):
        export_scores(run, tmp_path / "scores.parquet")
    assert not (tmp_path / "scores.parquet").is_file()


def test_a_killed_export_leaves_the_old_files_whole(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "scores.parquet"
    export_scores(run, file, image_sets=["animals"])
    before = contents(tmp_path)
    killed = (
        "import os, pyarrow.parquet as pq; from pathlib import Path; "
        "from negrefine_core.benchmarks.export import export_scores; from negrefine_core.runs import Run; "
        "write = pq.write_table; pq.write_table = lambda rows, where: (write(rows, where), os._exit(9)); "
        f"export_scores(Run.open(Path({str(run.folder)!r})), {str(file)!r})"
    )
    assert subprocess.run([sys.executable, "-c", killed], cwd=ROOT).returncode == 9
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert export_scores(run, file) == len(pd.read_parquet(file))
    assert contents(tmp_path).keys() == before.keys()


def test_the_command_exports(run: Run, tmp_path: Path) -> None:
    arguments = ["export", "--name", str(run.folder), str(tmp_path / "out.csv"), "--id", "animals"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.exception
    assert f"images written to {tmp_path / 'out.csv'}; {SIGN}" in done.output


@pytest.fixture(scope="module")
def detector(encoder: OpenClipEncoder) -> NegRefineDetector:
    return NegRefineDetector(encoder, ["cat", "dog", "owl"], [f"thing {i}" for i in range(20)])


def test_the_adapter_gives_the_negated_scores_in_the_pictures_order(detector: NegRefineDetector) -> None:
    pictures = [picture(seed) for seed in range(6)]
    for score in ("negrefine", "mcm"):
        adapter = OODDetector(detector, score).fit()
        batch = torch.stack([adapter.transform(image) for image in pictures])  # (B, H, W, 3)
        predicted = adapter.predict(batch)
        assert predicted.shape == (6,)
        np.testing.assert_allclose(predicted, -detector.score(pictures)[score], atol=1e-6)
        torch.testing.assert_close(adapter(batch), predicted)
    features = detector.encoder.encode_images(pictures)
    torch.testing.assert_close(adapter.predict_features(features), predicted)


def test_pytorch_oods_own_metrics_agree_on_the_adapters_scores(detector: NegRefineDetector) -> None:
    adapter, theirs, scores = OODDetector(detector), OODMetrics(), []
    for start in range(0, 60, 10):  # 40 ID pictures, then 20 OOD
        batch = torch.stack([adapter.transform(picture(seed)) for seed in range(start, start + 10)])
        scores.append(adapter.predict(batch))
        theirs.update(scores[-1], torch.full((10,), 0 if start < 40 else -1))
    found, values = theirs.compute(), torch.cat(scores).numpy()
    ours = ood_metrics(-values[:40], -values[40:], "pytorch-ood")
    assert found["AUROC"] == pytest.approx(ours.auroc, abs=1e-6)
    assert found["FPR95TPR"] == pytest.approx(ours.fpr95, abs=1e-6)
    assert (found["AUPR-IN"], found["AUPR-OUT"]) == pytest.approx((ours.aupr_in, ours.aupr_out), abs=1e-6)


def test_the_adapter_has_what_pytorch_ood_asks_of_a_detector(
    detector: NegRefineDetector, cached: CachedEncoder
) -> None:
    for name in ("fit", "predict", "requires_fit", "__call__"):
        assert hasattr(Detector, name)
        assert hasattr(OODDetector, name)
    over_cache = NegRefineDetector(cached, detector.id_labels, detector.negatives)
    batch = OODDetector(detector).transform(picture(1)).unsqueeze(0)
    torch.testing.assert_close(OODDetector(over_cache).predict(batch), OODDetector(detector).predict(batch))
