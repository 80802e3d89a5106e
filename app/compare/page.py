"""Compare: two methods, runs or judges side by side: what differs in figures, in single images and in labels."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from negrefine_core.comparison import Difference, is_same_task
from negrefine_core.methods import JUDGED
from negrefine_core.operating_point import MARKED, rule_for
from negrefine_core.runs import Role, Run
from negrefine_core.show import charts
from negrefine_core.show.tables import points

from ..shared import frame, links
from ..shared.gallery import image_gallery
from ..shared.sampled import sample_line
from ..shared.scored_images import ScoredImages, Sets, is_comparable
from ..shared.switch_sets import switch_sets
from ..shared.view import bound, change, switch
from ..shared.words import contamination, plain, plural, positive_class, some
from .differences import METRICS, differences, headline, is_better, overall, statement
from .experiment import experiment_table
from .judges import agreement, answers_that_differ, choose_judges, judged_sides
from .labels import label_differences
from .published import published_figures
from .sides import (
    FIRST,
    SECOND,
    Joined,
    Sides,
    choose,
    is_compared,
    join,
    offered_scores,
    other_runs,
    shared_by_themselves,
)
from .view import CROSSINGS, FLIPS, MODES, CompareView

SHOWS: dict[Role, str] = {"ID": "ID", "OOD": "OOD", "unknown": "unknown"}
DIFFERENCE = (
    "Difference = second − first. Intervals: 95%, paired bootstrap over the images, 1,000 samples. An interval that "
    "leaves out 0 is a difference beyond chance."
)
TWO_TASKS = "Two tasks side by side: each side’s ID classes are its own, and a difference would say nothing."


def _draw(run: Run, view: CompareView) -> None:
    st.caption("Two sides on the same images: which is better and by how much, which images change sides, and why.")
    top = st.container()
    switch("What to compare", MODES, view, "compare")
    if view.compare == "judges":
        _draw_judges(run, view, top)
        return
    if view.compare == "runs" and not other_runs(run):
        st.info("There is only this one run. Make a second one with other ID classes, another model or another judge.")
        st.page_link(
            links.page("classes"), label="Make a second run", icon=":material/label:", query_params=view.query()
        )
        return
    sides = choose(run, view)
    _choose_sides(run, view, sides)
    _which_pictures(view, sides)
    published_figures(run)
    experiment_table(run, view)
    _draw_sides(run, view, sides, top)


def _draw_judges(run: Run, view: CompareView, top: DeltaGenerator) -> None:
    pair = choose_judges(run, view)
    found = agreement(run, pair) if pair else None
    if pair is None or found is None:
        return
    answers = partial(answers_that_differ, run, view, pair, found)
    sides = judged_sides(run, view, pair)
    if sides is None:
        answers()
        return
    _which_pictures(view, sides)
    _draw_sides(run, view, sides, top, answers)


def _draw_sides(
    run: Run, view: CompareView, sides: Sides, top: DeltaGenerator, answers: Callable[[], None] | None = None
) -> None:
    """All that tells the sides apart; of two judges also the `answers` that do."""
    if sides.sets is None:
        _nothing_shared(run, view, sides)
        _below(run, view, sides, None, answers)
        return
    joined = join(sides, sides.sets, view)
    if joined.table.empty:
        st.info(
            f"Of “{plain(', '.join(sides.sets.names))}” the two runs have scored no picture in common, or none of one "
            "kind. Score the same folders with both."
        )
        _below(run, view, sides, None, answers)
        return
    _what_is_compared(sides, sides.sets, joined)
    if not sides.sets.alone:
        _metrics(view, sides, sides.sets, joined, top)
    _charts(sides, sides.sets, joined)
    _flip_tiles(view, sides, sides.sets, joined)
    _below(run, view, sides, joined, answers)


def _which_pictures(view: CompareView, sides: Sides) -> None:
    first, second = (side.run for side in sides.both)
    if sides.sets is not None:
        both = is_comparable(second) if first is second else is_compared(first, second)
        switch_sets(view, both, shared_by_themselves(first, second), sides.sets.alone, page=1)
        sample_line(second, sides.sets.names)
    if first is not second:
        _say_what_differs(first, second)


def _say_what_differs(first: Run, second: Run) -> None:
    """The image sets that the two runs take for something else, and the ID classes that only one has."""
    notes = [
        f"“{plain(name)}” is {SHOWS[first.role(name)]} in {plain(first.name)} and {SHOWS[second.role(name)]} in "
        f"{plain(second.name)}: no figure takes it in."
        for name in second.scored_sets
        if name in first.scored_sets and first.role(name) != second.role(name)
    ]
    if not is_same_task(first, second):
        only = [
            f"only in {plain(run.name)}: {some(lacking, 6)}"
            for run, other in ((first, second), (second, first))
            if (lacking := _only_in(run, other))
        ]
        notes.append(
            f"**Two tasks**: the runs have other ID classes ({'; '.join(only)}). Each side’s figures are of its own "
            "task, so that neither is better than the other."
        )
    if notes:
        st.info("  \n".join(notes), icon=":material/difference:")


def _only_in(run: Run, other: Run) -> list[str]:
    theirs = {label.casefold() for label in other.id_labels}
    return [label for label in run.id_labels if label.casefold() not in theirs]


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
    if view.compare == "judges" and run.scored_sets:
        return  # the scores are being worked out, or it is said what they lack
    if JUDGED in (side.score.column for side in sides.both) and run.scored_sets:
        st.info("The scores before the overrides are not there yet. Score the images again to have both.")
        st.page_link(links.page("score"), label="Score again", icon=":material/play_circle:", query_params=view.query())
    elif view.compare == "runs":
        st.info(
            f"{plain(sides.first.run.name)} and {plain(sides.second.run.name)} have no scored image set of the same "
            "name and with the same score, so only their labels can be compared. Score the same folders with both."
        )
    else:
        st.info("This run has no scored images, so only labels can be compared. To compare scores, score some.")
        st.page_link(
            links.page("score"), label="Score images", icon=":material/play_circle:", query_params=view.query()
        )


def _what_is_compared(sides: Sides, sets: Sets, joined: Joined) -> None:
    text = f"ID images: **{_readable(sets.id)}**, OOD images: **{', '.join(map(_readable, sets.ood))}**."
    if sets.alone:
        text = (
            f"The pictures of **{_readable(sets.alone)}**, of which there is no truth to measure by: what differs is "
            "their order, and what each is taken for."
        )
    if sides.second.judged:
        text += (
            " Each judge’s side is the NegRefine score with the negatives that it keeps, worked out now and without "
            "overrides; what both keep stays in the same groups."
        )
    if joined.missing:
        is_one = sides.first.run is sides.second.run
        why = "that can no longer be read" if is_one else "that only one run has scored"
        text += f" {joined.missing:,} images {why} are left out."
    st.markdown(text)


def _readable(image_set: str) -> str:
    return plain(image_set.replace("_", " "))


def _metrics(view: CompareView, sides: Sides, sets: Sets, joined: Joined, top: DeltaGenerator) -> None:
    found = differences(sides, sets, joined.table, view.convention)
    if found is None:
        return
    is_one_task = is_same_task(sides.first.run, sides.second.run)
    if is_one_task:
        top.markdown(f"#### {headline(found, sides)}")
        top.markdown(_flipped(joined))
        st.markdown("\n".join(f"- {statement(d, sides)}" for d in overall(found)))
    rows = [_row(d, sides) | (_change(d) if is_one_task else {}) for d in found]
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
        f"Explore’s metrics). {DIFFERENCE if is_one_task else TWO_TASKS} "
        "Each side has its own score, averaged over the OOD sets; Review’s figures by class are of the NegRefine "
        "score, all sets pooled. " + contamination(sets.ood)
    )


def _flipped(joined: Joined) -> str:
    """How many images change sides, in both directions, where each score has its own threshold."""
    counts = joined.table["flip"].value_counts()
    fixed, broken = (int(counts.get(code, 0)) for code in ("fixed", "broken"))
    how = "" if joined.at[0].origin != joined.at[1].origin else f" ({joined.at[0].origin})"
    return (
        f"At one threshold each{how}, **{fixed:,}** {plural(fixed, 'image')} that the first side gets wrong "
        f"{'is' if fixed == 1 else 'are'} right by the second (fixed), and **{broken:,}** the other way round "
        "(broken). AUROC is over all thresholds."
    )


def _row(difference: Difference, sides: Sides) -> dict[str, object]:
    return {
        "OOD images": difference.ood_set.replace("_", " "),
        "Metric": METRICS[difference.metric],
        sides.first.name: 100 * difference.first,
        sides.second.name: 100 * difference.second,
    }


def _change(difference: Difference) -> dict[str, object]:
    verdict = "better" if is_better(difference) else "worse"
    return {
        "Difference": points(difference.second - difference.first, 2),
        "95% interval": f"{points(difference.low)} to {points(difference.high)}",
        "Beyond chance": verdict if difference.is_clear else "–",
    }


def _charts(sides: Sides, sets: Sets, joined: Joined) -> None:
    if sets.alone:
        _histograms_alone(sides, joined)
        return
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


def _histograms_alone(sides: Sides, joined: Joined) -> None:
    names = [side.name for side in sides.both]
    st.markdown("**Scores**", help="Line: the first side. Filled: the second. Each is measured from its own threshold.")
    st.plotly_chart(
        charts.histograms_alone_compared(joined.table, (FIRST, SECOND), names, joined.thresholds),
        key="histograms",
        config={"displayModeBar": False},
        alt=f"Histograms of the scores of {names[0]} and {names[1]}",
    )


def _flip_tiles(view: CompareView, sides: Sides, sets: Sets, joined: Joined) -> None:
    st.markdown(
        "**What becomes of each image**",
        help=f"From {plain(sides.first.name)} to {plain(sides.second.name)}.",
    )
    each = zip(joined.at, joined.decimals, sides.both, strict=True)
    at = [f"**{at.value:.{places}f}** for {plain(side.name)} ({at.origin})" for at, places, side in each]
    st.caption(f"Each at its own threshold: {at[0]}, {at[1]}.")
    if sets.alone:
        _crossing_tiles(view, sets, joined)
        return
    counts = joined.table.groupby(["flip", "is_id"]).size()
    with st.container(key="tiles"):
        for column, (code, (words, meaning)) in zip(st.columns(4), FLIPS.items(), strict=True):
            ids, oods = (int(counts.get((code, inside), 0)) for inside in (True, False))
            _tile(column, view, sets, code, f"{words}  \n**{ids + oods:,}** · {ids:,} ID, {oods:,} OOD", meaning)


def _tile(column: DeltaGenerator, view: CompareView, sets: Sets, code: str, words: str, meaning: str) -> None:
    """A button that shows what becomes of some images, and opens them."""
    column.button(
        words,
        key=f"flip_{code}",
        type="primary" if _chosen(view, sets) == code else "secondary",
        width="stretch",
        help=f"{meaning} Click to see them.",
        on_click=change,
        args=(view,),
        kwargs={"flip": code, "page": 1, "differ": "pictures"},
    )


def _crossing_tiles(view: CompareView, sets: Sets, joined: Joined) -> None:
    """Who is taken for one of the classes, as four buttons."""
    counts, total = joined.table["flip"].value_counts(), len(joined.table)
    with st.container(key="tiles"):
        for column, (code, (words, meaning)) in zip(st.columns(4), CROSSINGS.items(), strict=True):
            _tile(column, view, sets, code, f"{words}  \n**{int(counts.get(code, 0)):,}** of {total:,}", meaning)


def _chosen(view: CompareView, sets: Sets) -> str:
    """The tile that is down: the view's, or the first of its kind."""
    tiles = CROSSINGS if sets.alone else FLIPS
    return view.flip if view.flip in tiles else next(iter(tiles))


def _below(
    run: Run, view: CompareView, sides: Sides, joined: Joined | None, answers: Callable[[], None] | None
) -> None:
    """What differs, one thing at a time: the pictures that a tile opens, the labels, and two judges' answers."""
    offered = {"labels": "Negatives that differ"} | ({"answers": "Answers that differ"} if answers else {})
    if sides.sets and joined:
        chosen = _chosen(view, sides.sets)
        words = (CROSSINGS if sides.sets.alone else FLIPS)[chosen][0].lower()
        offered = {"pictures": f"Pictures: {words}"} | offered
    shown = view.differ if view.differ in offered else next(iter(offered))
    if len(offered) > 1:
        switch("Below", offered, view, "differ", shown)
    if shown == "labels":
        label_differences(view, sides)
    elif shown == "answers" and answers:
        answers()
    elif sides.sets and joined:
        _pictures(run, view, sides, sides.sets, joined)


def _pictures(run: Run, view: CompareView, sides: Sides, sets: Sets, joined: Joined) -> None:
    """The pictures of the tile that is down."""
    chosen = _chosen(view, sets)
    words = (CROSSINGS if sets.alone else FLIPS)[chosen][0].lower()
    places, table = joined.decimals, joined.table
    before, after = (table[side].rank(ascending=False, method="min").astype(int) for side in (FIRST, SECOND))
    table = table.assign(before=before, after=after)
    shown = table[table["flip"] == chosen]
    if shown.empty:
        verb = "taken for one of your classes " if sets.alone else ""
        st.info(f"No image is {verb}{words}. Choose another tile above.")
        return
    first = (shown[SECOND] - joined.thresholds[1]).abs()
    if sets.alone:
        first = (shown["before"] - shown["after"]).abs()
        st.caption("Those that change their place most come first; 1 is the highest score.")
    shown = shown.loc[first.sort_values(ascending=False, kind="stable").index]
    score = replace(sides.second.score, column=SECOND)
    images = ScoredImages(table, sets, score, [score], joined.at[1], None)

    def said(image: pd.Series) -> str:
        scores = f"{image[FIRST]:.{places[0]}f} → **{image[SECOND]:.{places[1]}f}**"
        if not sets.alone:
            return scores
        return f"{scores}  \nplace {image['before']:,} → **{image['after']:,}**"

    column = sides.second.score.column
    rule = view.threshold if view.threshold == MARKED else rule_for(column, view.threshold, view.score)
    opened = replace(view, score=column, threshold=rule)  # an image opens with the score that it is shown with
    image_gallery(run, opened, images, shown.index.to_numpy(), said)


def compare() -> None:
    frame.page("compare", "Compare", CompareView, _draw)
