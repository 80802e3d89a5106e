"""The ablation of a run equals detectors that are made separately for each of its variants."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from negrefine_core import pipeline, scoring
from negrefine_core.benchmarks import ablation
from negrefine_core.benchmarks.ablation import Variant
from negrefine_core.cache import CachedEncoder
from negrefine_core.cli import app
from negrefine_core.encoder import OpenClipEncoder
from negrefine_core.errors import NegRefineError
from negrefine_core.image_sets import open_image_set
from negrefine_core.metrics import ood_metrics
from negrefine_core.negfilter import clean_negatives
from negrefine_core.records import Negative
from negrefine_core.runs import Run, Settings
from negrefine_core.show import charts
from tests.support.pictures import picture, write_pictures

IDS = [f"animal {i}" for i in range(12)]
MINED = [Negative(f"thing {chr(97 + i)}{chr(97 + j)}", "noun", 0.1) for i in range(12) for j in range(15)] + [
    Negative(f"big{chr(97 + i)} place", "adjective", 0.1) for i in range(20)
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_model: str) -> Run:
    """A scored run of which the filter dropped every fifth negative."""
    folder = tmp_path_factory.mktemp("ablated")
    run = Run.create("ablated", Settings(model=tiny_model, n_groups=10, alpha=2.0, fraction=0.2), IDS)
    run.write_initial_negatives(MINED)
    run.write_negatives([negative for number, negative in enumerate(clean_negatives(MINED)) if number % 5])
    model = CachedEncoder(OpenClipEncoder(tiny_model, device="cpu"))
    write_pictures(folder / "inside", 7)
    for name in ("far", "near"):
        write_pictures(folder / name, 6, first_seed=len(name) * 30)
    pipeline.score(run, model, [open_image_set(folder / name) for name in ("inside", "far", "near")])
    for name in ("inside", "far", "near"):
        run.set_role(name, "ID" if name == "inside" else "OOD")
    return run


@pytest.fixture(scope="module")
def encoder(tiny_model: str) -> CachedEncoder:
    return CachedEncoder(OpenClipEncoder(tiny_model, device="cpu"))


@pytest.fixture(scope="module")
def ablated(run: Run, encoder: CachedEncoder) -> dict[Variant, np.ndarray]:
    variants, table = ablation.scores(run, encoder, ["inside", "far", "near"])
    assert len(variants) == len(set(variants))
    return {variant: table[number].to_numpy() for number, variant in enumerate(variants)}


def features(encoder: CachedEncoder) -> torch.Tensor:
    seeds = [*range(7), *range(90, 96), *range(120, 126)]
    return encoder.encode_images([picture(seed) for seed in seeds])


def separate(run: Run, encoder: CachedEncoder, negatives: list[Negative], **settings: float) -> pd.DataFrame:
    """The scores of a detector of its own."""
    made = pipeline.detector(run, encoder, negatives)
    return made.score_features(features(encoder)).assign(**settings)


def test_the_parts_are_those_of_detectors_with_and_without_the_filter(
    run: Run, encoder: CachedEncoder, ablated: dict[Variant, np.ndarray]
) -> None:
    for names, negatives in (
        (("neither", "multi-matching only"), MINED),
        (("filter only", "both"), run.negatives),
    ):
        table = separate(run, encoder, negatives)
        np.testing.assert_allclose(ablated[Variant("parts", names[0])], table["neglabel"], atol=1e-6)
        np.testing.assert_allclose(ablated[Variant("parts", names[1])], table["negrefine"], atol=1e-6)
    scored = pd.concat([run.scores(name) for name in ("inside", "far", "near")])
    np.testing.assert_allclose(ablated[Variant("parts", "neither")], scored["csp"], atol=1e-6)
    np.testing.assert_allclose(ablated[Variant("parts", "both")], scored["negrefine"], atol=1e-6)


def test_the_sweeps_are_those_of_the_plain_formulas(
    run: Run, encoder: CachedEncoder, ablated: dict[Variant, np.ndarray]
) -> None:
    table, images = separate(run, encoder, run.negatives), features(encoder)
    made = pipeline.detector(run, encoder)
    neg_sim = scoring.similarity(images, made.negative_features)
    pos_sim = scoring.similarity(images, made.id_features)
    for alpha in ablation.ALPHAS:
        expected = table["neglabel"] + alpha * table["multi_matching"]
        np.testing.assert_allclose(ablated[Variant("alpha", alpha)], expected, atol=1e-6)
    for groups in ablation.GROUPS:
        expected = scoring.neglabel_score(pos_sim, neg_sim, groups).numpy() + 2 * table["multi_matching"]
        np.testing.assert_allclose(ablated[Variant("groups", groups)], expected, atol=1e-6)
    for size in ablation.TOPS:
        for sweep, k, n in (("top ID labels", size, 5), ("top negatives", 5, size)):
            expected = [
                neglabel + 2 * loop_multi_matching(encoder, image, made, k, n)
                for image, neglabel in zip(images, table["neglabel"], strict=True)
            ]
            np.testing.assert_allclose(ablated[Variant(sweep, size)], expected, atol=1e-5)


def loop_multi_matching(encoder: CachedEncoder, image: torch.Tensor, made: object, k: int, n: int) -> float:
    """One image, one pair at a time."""
    pos, neg = 100 * made.id_features @ image, 100 * made.negative_features @ image
    best = 0.0
    for i in pos.argsort(descending=True)[:k].tolist():
        for j in neg.argsort(descending=True)[:n].tolist():
            text = f"{made.id_labels[i]} and {made.negatives[j]}"
            pair = encoder.encode_labels([text], made.config.noun_templates)[0]
            best = max(best, float(torch.sigmoid(100 * pair @ image - neg[j])))
    return best


def test_a_smaller_mined_fraction_keeps_the_least_similar_of_each_kind(
    run: Run, encoder: CachedEncoder, ablated: dict[Variant, np.ndarray]
) -> None:
    kept = {negative.label for negative in run.negatives}
    half = [negative for negative in MINED[:90] + MINED[180:190] if negative.label in kept]
    table = separate(run, encoder, half)
    np.testing.assert_allclose(ablated[Variant("mined fraction", 0.1)], table["negrefine"], atol=1e-6)
    whole = ablated[Variant("parts", "both")]
    np.testing.assert_allclose(ablated[Variant("mined fraction", 0.2)], whole, atol=1e-6)


def test_the_table_has_each_sets_metrics_and_their_average_in_both_conventions(
    run: Run, encoder: CachedEncoder
) -> None:
    variants, scores = ablation.scores(run, encoder, ["inside", "far", "near"])
    conventions = ("id-positive", "ood-positive")
    table = ablation.results(variants, scores, "inside", conventions)
    assert len(table) == 2 * len(variants) * 3
    for convention in conventions:
        rows = table[(table["convention"] == convention) & (table["value"] == "both")].set_index("ood_set")
        inside = run.scores("inside")["negrefine"]
        measured = [ood_metrics(inside, run.scores(name)["negrefine"], convention) for name in ("far", "near")]
        assert list(rows.loc[["far", "near"], "fpr95"]) == pytest.approx([100 * m.fpr95 for m in measured])
        assert rows.loc["average", "auroc"] == pytest.approx(50 * sum(m.auroc for m in measured))
    drawn_from = ablation.results(variants, scores, "inside", n_bootstrap=50)
    assert (drawn_from["auroc_low"] <= drawn_from["auroc_high"]).all()
    own = drawn_from[(drawn_from["value"] == "both") & (drawn_from["ood_set"] == "average")].iloc[0]
    again = pipeline.evaluate(run, "inside", ["far", "near"], n_bootstrap=50)["methods"]["NegRefine"]["average"]
    assert [own["auroc_low"], own["auroc_high"]] == pytest.approx([100 * bound for bound in again["auroc_interval"]])
    drawn = charts.sweeps(table)
    assert {title.text for title in drawn.layout.annotations} == set(table["sweep"])
    with pytest.raises(NegRefineError, match="score at least one set of each"):
        ablation.results(variants, scores, "elsewhere")


@pytest.mark.slow
def test_the_command_writes_the_table_and_the_charts(run: Run) -> None:
    done = CliRunner().invoke(app, ["ablation", "--name", run.name, "--device", "cpu", "--convention", "both"])
    assert done.exit_code == 0, done.exception
    assert "multi-matching only" in done.output
    table = pd.read_csv(run.path("ablation") / "ablation.csv")
    assert set(table["sweep"]) == {"parts", "alpha", "top ID labels", "top negatives", "mined fraction", "groups"}
    assert "plotly.min.js" in (run.path("ablation") / "sweeps.html").read_text(encoding="utf-8")


def test_a_picture_that_is_gone_is_named(run: Run, encoder: CachedEncoder) -> None:
    gone: Path = run.image_root("near") / "000.png"
    gone.rename(gone.with_suffix(".away"))
    try:
        with pytest.raises(NegRefineError, match=r"000\.png was scored but cannot be read any more"):
            ablation.scores(run, encoder, ["near"])
    finally:
        gone.with_suffix(".away").rename(gone)
