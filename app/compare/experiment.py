"""The paper's experiment that a run is a part of: mean and deviation over its seeds, beside the paper's figures."""

import pandas as pd
import streamlit as st

from negrefine_core.benchmarks.experiments import Experiment, experiments, seeds_of, times
from negrefine_core.methods import measured
from negrefine_core.metrics import Convention
from negrefine_core.runs import Run

from ..shared import background
from ..shared.view import ID_POSITIVE, View
from ..shared.words import contamination, plain, positive_class

NUMBERS = ("AUROC", "AUROC ±", "FPR@95", "FPR@95 ±", "Paper: AUROC", "Paper: FPR@95")


def experiment_table(run: Run, view: View) -> None:
    """Nothing for a run that no benchmark made."""
    entry = next((entry for entry in experiments() if entry.name == run.info.experiment), None)
    if not entry:
        return
    runs = seeds_of(run)
    with st.expander(f"**The paper’s experiment {plain(entry.title)}**", expanded=True, icon=":material/science:"):
        if not runs:
            st.info("No seed of this experiment is scored whole yet. Its command goes on where it stopped:")
            st.code(f"negrefine benchmark {entry.name}", language="bash")
            return
        found = _measured(entry, runs, view.convention)
        if found is not None:
            _draw_table(entry, runs, found, view.convention)


def _measured(entry: Experiment, runs: list[Run], convention: Convention) -> pd.DataFrame | None:
    """`benchmark.results`, worked out aside: it reads every score of every seed."""
    key = ("experiment", entry.name, convention, *(run.state(scores=entry.image_sets) for run in runs))

    def measure() -> pd.DataFrame:
        from negrefine_core.benchmarks.seeds import results  # here: it imports torch

        return results(entry, runs, measured(), convention)

    return background.result(key, measure, f"Measuring {len(runs)} runs of {len(entry.image_sets)} image sets")


def _draw_table(entry: Experiment, runs: list[Run], found: pd.DataFrame, convention: Convention) -> None:
    st.dataframe(
        tabulated(found),
        hide_index=True,
        placeholder="–",
        height=38 + 35 * 10,
        column_config={name: st.column_config.NumberColumn(name, format="%.2f") for name in NUMBERS},
        alt=f"AUROC and FPR@95 of each method in the experiment {entry.title}, beside the paper’s",
    )
    seeds = ", ".join(str(run.settings.seed) for run in runs)
    st.caption(
        f"In percent; {positive_class(convention)} is the positive class of FPR@95"
        + (", as in the paper. " if convention == ID_POSITIVE else ", the paper’s is ID and so left out. ")
        + (
            f"Mean over {len(runs)} seeds ({seeds}), ± standard deviation. "
            if len(runs) > 1
            else f"One seed ({seeds}): there is no deviation. "
        )
        + f"The average is over {plain(', '.join(entry.ood))}. "
        + (_PAPER if entry.paper else "The paper’s figures of this experiment are not known. ")
        + contamination(entry.contaminated)
    )
    st.caption(f":material/timer: {times(entry, runs)}")


_PAPER = (
    "The paper’s averages are over seeds, as quoted second-hand; its single sets are the published log’s, "
    "which is seed 0. "
)


def tabulated(found: pd.DataFrame) -> pd.DataFrame:
    """`benchmark.results` under the columns' names for people, the average first."""
    table = pd.DataFrame(
        {
            "OOD images": found["ood_set"],
            "Method": found["method"],
            "AUROC": found["auroc"],
            "AUROC ±": found["auroc_deviation"],
            "FPR@95": found["fpr95"],
            "FPR@95 ±": found["fpr95_deviation"],
            "Paper: AUROC": found["paper_auroc"].astype(float),
            "Paper: FPR@95": found["paper_fpr95"].astype(float),
        }
    )
    table = table.dropna(axis="columns", how="all")  # one seed has no deviation, and few experiments known figures
    return table.sort_values("OOD images", key=lambda names: names != "average", kind="stable", ignore_index=True)
