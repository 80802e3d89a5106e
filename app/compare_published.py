"""The figures that came with an imported run, beside the paper's table."""

import pandas as pd
import streamlit as st

from negrefine_core.paper import AVERAGED_OVER, CONTAMINATED, REPORTED
from negrefine_core.runs import Run
from words import plain

COLUMNS = {name: st.column_config.NumberColumn(name, format="%.2f") for name in ("AUROC", "FPR@95")}


def draw(run: Run) -> None:
    """Nothing for a run that was made here."""
    published = run.info.get("published", {})
    if not published.get("results"):
        return
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**Figures published with this run**")
        _table(results(published["results"]), "AUROC and FPR@95 of the published run on each OOD set")
        contaminated = ", ".join(name for name in CONTAMINATED if name in published["results"])
        st.caption(
            f"{plain(published['source'])}: seed {published['seed']}, {plain(published['arch'] or 'model unknown')}; "
            "in percent, ID is the positive class." + (f" {contaminated} also hold images of ID classes."
                                                    if contaminated else "")
        )  # fmt: skip
    with right:
        st.markdown("**What the paper reports**")
        rows = [{"Method": name, "AUROC": auroc, "FPR@95": fpr} for name, (auroc, fpr) in REPORTED.items()]
        _table(pd.DataFrame(rows), "AUROC and FPR@95 of each method as the paper reports them")
        st.caption(
            f"ImageNet-1K, ViT-B/16: the mean over {', '.join(AVERAGED_OVER)}. The baselines and the two ablations are "
            "quoted second-hand."
        )


def results(published: dict[str, dict[str, float]]) -> pd.DataFrame:
    """A row for each OOD set in percent, and the mean over the paper's four where all are there."""
    rows = [
        {"OOD images": name, "AUROC": 100 * values["auroc"], "FPR@95": 100 * values["fpr95"]}
        for name, values in published.items()
    ]
    table = pd.DataFrame(rows)
    if set(AVERAGED_OVER) <= set(published):
        mean = table[table["OOD images"].isin(AVERAGED_OVER)][["AUROC", "FPR@95"]].mean()
        table.loc[len(table)] = ["mean of the first four", *mean]
    return table


def _table(table: pd.DataFrame, alt: str) -> None:
    st.dataframe(table, hide_index=True, column_config=COLUMNS, height=38 + 35 * len(table), alt=alt)
