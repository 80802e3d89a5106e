"""The metrics of every method on every OOD set, with their 95% intervals and the convention they follow."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from negrefine_core.methods import measured
from negrefine_core.metrics import AVERAGE, Convention, evaluate
from negrefine_core.runs import Run

from ..shared.cached import cached_by
from ..shared.scored_images import ScoredImages
from ..shared.view import ID_POSITIVE, OOD_POSITIVE, PYTORCH_OOD, View, bound
from ..shared.words import contamination, interval, plain

CONVENTIONS = {ID_POSITIVE: "ID positive (the paper)", OOD_POSITIVE: "OOD positive", PYTORCH_OOD: "pytorch-ood"}
NOTES = {
    ID_POSITIVE: "FPR@95 is the share of OOD images let in at the threshold that keeps 95% of the ID images.",
    OOD_POSITIVE: "FPR@95 is the share of ID images flagged at the threshold that catches 95% of the OOD images: "
    "another number than the paper’s.",
    PYTORCH_OOD: "As pytorch-ood measures: OOD is positive, FPR@95 is at the first threshold that catches at least 95% "
    "of the OOD images, not the nearest to it, and the AUPRs are by trapezoids.",
}


def metrics_table(run: Run, view: View, images: ScoredImages) -> None:
    metrics = run.metrics
    st.segmented_control(
        "Convention of FPR@95",
        list(CONVENTIONS),
        format_func=CONVENTIONS.__getitem__,
        required=True,
        help="AUROC is the same in both. AUPR-in always takes ID as positive, AUPR-out always OOD.",
        **bound(view, "convention"),
    )
    table = tabulated(run, metrics, {*images.sets.ood, AVERAGE}, view.convention)
    st.dataframe(
        table,
        hide_index=True,
        height=38 + 35 * min(len(table), 18),
        column_config={
            name: st.column_config.NumberColumn(name, format="%.1f")
            for name in ("AUROC", "FPR@95", "AUPR-in", "AUPR-out")
        },
        alt="AUROC, FPR@95, AUPR-in and AUPR-out of each method on each OOD set",
    )
    st.caption(
        f"In percent; ID images: {plain(metrics['id_set'])}. {NOTES[view.convention]} Higher is better, except for "
        "FPR@95. The average is the mean over all of the run’s OOD sets. Intervals: 95%, bootstrap over images. "
        + contamination(images.sets.ood)
    )


def tabulated(run: Run, metrics: Mapping[str, Any], wanted: set[str], convention: Convention) -> pd.DataFrame:
    """A row for each wanted OOD set and method, in percent, the best AUROC of a set first."""
    rows = []
    other = _measured(run, convention) if convention != ID_POSITIVE else {}
    for method, by_set in metrics["methods"].items():
        by_set = {name: values | other.get((method, name), {}) for name, values in by_set.items()}
        for name, values in by_set.items():
            if name in wanted:
                rows.append(
                    {
                        "OOD images": name.replace("_", " "),
                        "Method": method,
                        "AUROC": 100 * values["auroc"],
                        "AUROC 95% interval": interval(values.get("auroc_interval")),
                        "FPR@95": 100 * values["fpr95"],
                        "FPR@95 95% interval": interval(values.get("fpr95_interval")),
                        "AUPR-in": 100 * values["aupr_in"],
                        "AUPR-out": 100 * values["aupr_out"],
                    }
                )
    table = pd.DataFrame(rows)
    return table.sort_values(["OOD images", "AUROC"], ascending=[True, False], kind="stable", ignore_index=True)


@cached_by(
    lambda run, convention: (convention, run.state("metrics.json", scores=run.scored_sets)),
    max_entries=8,
    spinner="Drawing the bootstrap samples",
)
def _measured(run: Run, convention: Convention) -> dict[tuple[str, str], dict[str, Any]]:
    """What another convention measures otherwise, by method and OOD set, and their average."""
    metrics = run.metrics
    there = measured(*(run.score_columns(name) for name in metrics["images"]))
    names = {row.column: row.name for row in there if row.name in metrics["methods"]}
    parts = [
        run.scores(name, [*names]).assign(image_set=name, is_id=name == metrics["id_set"]) for name in metrics["images"]
    ]
    return {
        (names[row.column], row.ood_set): {
            "fpr95": row.fpr95,
            "fpr95_interval": list(row.intervals["fpr95_interval"]),
            "aupr_in": row.aupr_in,
            "aupr_out": row.aupr_out,
        }
        for row in evaluate(pd.concat(parts), [*names], convention, n_bootstrap=1000)
    }
