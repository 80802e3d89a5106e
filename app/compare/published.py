"""The figures that came with an imported run, beside the paper's table."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from negrefine_core.benchmarks.datasets import PUBLISHED_NAMES
from negrefine_core.benchmarks.experiments import Experiment, experiments
from negrefine_core.metrics import AVERAGE
from negrefine_core.run_files.info import Published, PublishedResult
from negrefine_core.runs import Run

from ..shared.words import contamination, duration, plain

COLUMNS = {name: st.column_config.NumberColumn(name, format="%.2f", width="small") for name in ("AUROC", "FPR@95")}
CONVENTION = "in percent, ID is the positive class"


def published_figures(run: Run) -> None:
    """Nothing for a run that was made here."""
    published = run.info.published
    if not published.results:
        return
    named = {PUBLISHED_NAMES.get(name, name): values for name, values in published.results.items()}
    entry = _experiment(published)
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**Figures published with this run**")
        _table(results(named, entry), "AUROC and FPR@95 of the published run on each OOD set")
        took = "; ".join(f"{plain(step)}: {duration(seconds)}" for step, seconds in published.seconds.items())
        st.caption(
            f"NegRefine, {plain(published.source)}: seed {published.seed}, "
            f"{plain(published.arch or 'model unknown')}; {CONVENTION}. {contamination(named)}"
        )
        if took:
            st.caption(f":material/timer: {took}")
    if not entry or not entry.paper:
        return
    with right:
        st.markdown("**What the paper reports**")
        _table(reported(entry), "AUROC and FPR@95 of each method as the paper reports them")
        st.caption(
            f"{plain(entry.title)}, ViT-B/16: the mean over seeds and {plain(', '.join(entry.ood))}; {CONVENTION}. "
            "Averages and ablation are quoted second-hand."
        )


def _experiment(published: Published) -> Experiment | None:
    """The experiment whose result it is. An import that did not note its ID set is ImageNet's."""
    name = (published.id_set or "imagenet").replace("_", "-")
    return next((entry for entry in experiments() if entry.name == name), None)


def results(published: Mapping[str, PublishedResult], entry: Experiment | None) -> pd.DataFrame:
    """A row for each OOD set in percent, and after those that the paper averages over their mean."""
    rows = [
        {"OOD images": name, "AUROC": 100 * values.auroc, "FPR@95": 100 * values.fpr95}
        for name, values in published.items()
    ]
    table = pd.DataFrame(rows)
    if not entry or not set(entry.ood) <= published.keys():
        return table
    is_averaged = table["OOD images"].isin(entry.ood)
    averaged = table[is_averaged]
    mean = (
        averaged[["AUROC", "FPR@95"]].mean().to_frame().T.assign(**{"OOD images": f"average of these {len(averaged)}"})
    )
    return pd.concat([averaged, mean, table[~is_averaged]], ignore_index=True)


def reported(entry: Experiment) -> pd.DataFrame:
    """A row for each method whose average the paper reports, the ablation before the whole method."""
    methods = {method: rows[AVERAGE] for method, rows in entry.paper.items() if AVERAGE in rows}
    whole = methods.pop("NegRefine", None)
    rows = methods | {part.capitalize(): figures for part, figures in entry.ablation.items()}
    rows |= {"NegRefine": whole} if whole else {}
    return pd.DataFrame([{"Method": name, "AUROC": auroc, "FPR@95": fpr} for name, (auroc, fpr) in rows.items()])


def _table(table: pd.DataFrame, alt: str) -> None:
    st.dataframe(table, hide_index=True, column_config=COLUMNS, height=38 + 35 * len(table), alt=alt)
