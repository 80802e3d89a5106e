"""Compare: two methods, runs or judges side by side: what differs in figures, in single images and in labels."""

from dataclasses import replace

import pandas as pd
import streamlit as st

from negrefine_core.comparison import Difference
from negrefine_core.methods import JUDGED
from negrefine_core.runs import Run
from negrefine_core.show import charts
from negrefine_core.show.tables import points

from ..shared import frame, links
from ..shared.gallery import image_gallery
from ..shared.operating_point import Threshold, rule_words
from ..shared.scored_images import ScoredImages, Sets
from ..shared.view import bound, change, switch
from ..shared.words import contamination, plain, positive_class
from .differences import METRICS, differences, is_better, overall, statement
from .experiment import experiment_table
from .judges import judge_comparison
from .labels import label_differences
from .published import published_figures
from .sides import FIRST, SECOND, Joined, Sides, choose, join, offered_scores, other_runs
from .view import FLIPS, MODES, CompareView


def _draw(run: Run, view: CompareView) -> None:
    st.caption("Two sides on the same images: which is better and by how much, which images change sides, and why.")
    switch("What to compare", MODES, view, "compare")
    if view.compare == "judges":
        judge_comparison(run, view)
        return
    if view.compare == "runs" and not other_runs(run):
        st.info("There is only this one run. Make a second one with other ID classes, another model or another judge.")
        st.page_link(
            links.page("classes"), label="Make a second run", icon=":material/label:", query_params=view.query()
        )
        return
    sides = choose(run, view)
    _choose_sides(run, view, sides)
    published_figures(run)
    experiment_table(run, view)
    if sides.sets is None:
        _nothing_shared(run, view, sides)
        label_differences(view, sides)
        return
    joined = join(sides, sides.sets, view)
    if joined.table.empty:
        st.info(
            f"Of “{plain(sides.sets.id)}” and the OOD sets chosen in Explore the two runs have scored no ID or no OOD "
            "picture in common. Score the same folders with both."
        )
        label_differences(view, sides)
        return
    _what_is_compared(view, sides, sides.sets, joined)
    _metrics(view, sides, sides.sets, joined)
    _charts(sides, joined)
    _flip_tiles(view, sides, joined)
    _below(run, view, sides, joined)


def _choose_sides(run: Run, view: CompareView, sides: Sides) -> None:
    columns = st.columns(3 if view.compare == "runs" else 2)
    if view.compare == "runs":
        columns[0].selectbox(
            "From the run",
            other_runs(run),
            help=f"Compared with this run, {plain(run.name)}.",
            **bound(view, "other", sides.first.run.name, page=1),
        )
    for name, side, column in ((FIRST, sides.first, columns[-2]), (SECOND, sides.second, columns[-1])):
        labels = {score.column: score for score in [*offered_scores(side.run, sides.sets), side.score]}
        names = {column: score.name for column, score in labels.items()}
        column.selectbox(
            f"{name.capitalize()} side" + (f" ({plain(side.run.name)})" if len(columns) > 2 else ""),
            names,
            format_func=names.__getitem__,
            help="\n".join(f"- **{score.name}**: {score.meaning}" for score in labels.values()),
            **bound(view, name, side.score.column, page=1),
        )


def _nothing_shared(run: Run, view: CompareView, sides: Sides) -> None:
    if JUDGED in (side.score.column for side in sides.both) and len(run.scored_sets) > 1:
        st.info("The scores before the overrides are not there yet. Score the images again to have both.")
        st.page_link(links.page("score"), label="Score again", icon=":material/play_circle:", query_params=view.query())
    elif view.compare == "runs":
        st.info(
            f"{plain(sides.first.run.name)} and {plain(sides.second.run.name)} have no scored ID and OOD image sets of "
            "the same name, so only their labels can be compared. Score the same folders with both."
        )
    else:
        st.info(
            "This run has no scored images, so only labels can be compared. To compare scores, score images of the "
            "ID classes and others with it."
        )
        st.page_link(
            links.page("score"), label="Score images", icon=":material/play_circle:", query_params=view.query()
        )


def _what_is_compared(view: CompareView, sides: Sides, sets: Sets, joined: Joined) -> None:
    ood = ", ".join(plain(name.replace("_", " ")) for name in sets.ood)
    text = f"ID images: **{plain(sets.id.replace('_', ' '))}**, OOD images: **{ood}**, as chosen in Explore."
    if joined.missing:
        text += f" {joined.missing:,} images that only one run has scored are left out."
    if sides.first.run.name != sides.second.run.name and sides.first.run.id_labels != sides.second.run.id_labels:
        text += " The two runs have different ID classes."
    st.markdown(text)


def _metrics(view: CompareView, sides: Sides, sets: Sets, joined: Joined) -> None:
    found = differences(sides, sets, joined.table, view.convention)
    if found is None:
        return
    st.markdown("\n".join(f"- {statement(d, sides)}" for d in overall(found)))
    rows = [_row(d, sides) for d in found]
    numbers = {
        name: st.column_config.NumberColumn(name, format="%.2f") for name in (sides.first.name, sides.second.name)
    }
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        height=38 + 35 * min(len(rows), 14),
        column_config=numbers,
        alt=f"AUROC and FPR@95 of {sides.first.name} and {sides.second.name} on each OOD set, and the difference",
    )
    st.caption(
        f"In percent, {positive_class(view.convention)} is the positive class of FPR@95 (the convention chosen in "
        "Explore’s metrics). Difference = second − first. Intervals: 95%, paired bootstrap over the images, 1,000 "
        "samples. An interval that leaves out 0 is a difference beyond chance. " + contamination(sets.ood)
    )


def _row(difference: Difference, sides: Sides) -> dict[str, object]:
    verdict = "better" if is_better(difference) else "worse"
    return {
        "OOD images": difference.ood_set.replace("_", " "),
        "Metric": METRICS[difference.metric],
        sides.first.name: 100 * difference.first,
        sides.second.name: 100 * difference.second,
        "Difference": points(difference.second - difference.first, 2),
        "95% interval": f"{points(difference.low)} to {points(difference.high)}",
        "Beyond chance": verdict if difference.is_clear else "–",
    }


def _charts(sides: Sides, joined: Joined) -> None:
    left, right = st.columns([3, 2], gap="medium")
    names = [side.name for side in sides.both]
    both = (joined.table, (FIRST, SECOND), names, joined.thresholds)
    with left:
        st.markdown(
            "**Scores of ID and OOD images**",
            help="Lines: the first side. Filled: the second. Each score is measured from its own threshold.",
        )
        st.plotly_chart(
            charts.histograms_compared(*both),
            key="histograms",
            config={"displayModeBar": False},
            alt=f"Histograms of the ID and OOD scores of {names[0]} and {names[1]}",
        )
    with right:
        st.markdown(
            "**ROC**, all OOD images pooled",
            help="Dots: each side’s threshold. The table averages over the OOD sets, whatever their size, and so has "
            "another AUROC.",
        )
        st.plotly_chart(
            charts.rocs(*both),
            key="rocs",
            config={"displayModeBar": False},
            alt=f"ROC curves of {names[0]} and {names[1]}",
        )


def _flip_tiles(view: CompareView, sides: Sides, joined: Joined) -> None:
    st.markdown(
        "**What becomes of each image**",
        help=f"From {plain(sides.first.name)} to {plain(sides.second.name)}.",
    )
    each = zip(joined.thresholds, joined.decimals, sides.both, strict=True)
    at = [
        f"**{threshold:.{places}f}** for {plain(side.name)} ({rule_words(view, side.score.column)})"
        for threshold, places, side in each
    ]
    st.caption(f"Each at its own threshold: {at[0]}, {at[1]}.")
    counts = joined.table.groupby(["flip", "is_id"]).size()
    with st.container(key="tiles"):
        for column, (code, (words, meaning)) in zip(st.columns(4), FLIPS.items(), strict=True):
            ids, oods = (int(counts.get((code, inside), 0)) for inside in (True, False))
            column.button(
                f"{words}  \n**{ids + oods:,}** · {ids:,} ID, {oods:,} OOD",
                key=f"flip_{code}",
                type="primary" if view.flip == code else "secondary",
                width="stretch",
                help=f"{meaning} Click to see them.",
                on_click=change,
                args=(view,),
                kwargs={"flip": code, "page": 1, "differ": "pictures"},
            )


def _below(run: Run, view: CompareView, sides: Sides, joined: Joined) -> None:
    labels = {"pictures": f"Pictures: {FLIPS[view.flip][0].lower()}", "labels": "Negatives that differ"}
    switch("Below", labels, view, "differ")
    if view.differ == "labels":
        label_differences(view, sides)
        return
    shown = joined.table[joined.table["flip"] == view.flip]
    if shown.empty:
        st.info(f"No image is {FLIPS[view.flip][0].lower()}. Choose another tile above.")
        return
    places = joined.decimals
    margin = (shown[SECOND] - joined.thresholds[1]).abs()
    shown = shown.loc[margin.sort_values(ascending=False, kind="stable").index]
    score = replace(sides.second.score, column=SECOND)
    at = Threshold(joined.thresholds[1], rule_words(view, score.column))
    images = ScoredImages(joined.table, sides.sets, score, [score], at, joined.table)  # type: ignore[arg-type]
    image_gallery(
        run, view, images, shown, lambda image: f"{image[FIRST]:.{places[0]}f} → **{image[SECOND]:.{places[1]}f}**"
    )


def compare() -> None:
    frame.page("compare", "Compare", CompareView, _draw)
