"""Two people: who has reviewed blind, how far two agree, what they agree on merged, and where they do not, settled."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import pandas as pd
import streamlit as st

from negrefine_core import reviews
from negrefine_core.decisions import KEPT
from negrefine_core.metrics import Figure
from negrefine_core.records import Review
from negrefine_core.reviews import Agreement
from negrefine_core.runs import Run

from ..shared import links
from ..shared.cached import cached_by
from ..shared.errors import told
from ..shared.reviewer import reviewer
from ..shared.words import percent, plain, plural
from .actions import keep_said, numbers, own_lines, say_written
from .bulk import written_at_once
from .view import ReviewView

LISTED = 30  # disagreements that are shown at once
PAIR = "people_pair"
Differ = Mapping[str, Sequence[Review]]  # what each person said of every label that is still to be settled


def both_words(run: Run, differ: Differ, row: pd.Series) -> None:
    """What each person decided on the label on the card, where they disagree, or did until it was settled."""
    label, is_open = row["label"], row["label"] in differ
    said = differ[label] if is_open else _had_said(run, row)
    if not said:
        return
    with st.container(border=True, gap="xsmall", key="both_words"):
        if is_open:
            place = f"{list(differ).index(label) + 1:,} of {len(differ):,}"
            st.markdown(f"{_names(said)} disagree ({place}). Your decision settles it; write the reason beside it.")
        else:
            st.markdown(f"{_names(said)} disagreed. {plain(row['who'])} settled it: **{row['decision']}**.")
        for entry in said:
            reason = f": “{plain(entry.reason)}”" if entry.reason else ""
            st.markdown(f"**{plain(entry.who)}** {'says' if is_open else 'said'} {entry.decision}{reason}")
        who = reviews.checked_name(reviewer())
        if is_open and who in {entry.who for entry in said}:
            few = "the two" if len(said) == 2 else "them"
            st.caption(f"You settle as {plain(who)}, one of {few}. The name under which you decide is in the sidebar.")


def _had_said(run: Run, row: pd.Series) -> list[Review]:
    """What each person had decided on a label that is decided since, where they disagreed."""
    said = [own[row["label"]] for own in reviews.by_person(run).values() if row["label"] in own]
    return said if row["reviewed"] and len({entry.decision for entry in said}) > 1 else []


def next_to_settle(differ: Differ, label: str) -> str:
    """The label after this one on which people disagree, from the top again after the last; empty where there is none
    or they agree on this one."""
    labels = list(differ)
    if label not in differ or len(labels) < 2:
        return ""
    return labels[(labels.index(label) + 1) % len(labels)]


def two_people(run: Run, view: ReviewView, differ: Differ, until: int) -> None:
    """`until` is the number of the log's next line."""
    people = reviews.by_person(run)
    with st.expander("Two people", icon=":material/group:", expanded=bool(differ)):
        say_written(run, until, "merged")
        counts = [f"**{plain(who)}** {len(own):,} {plural(len(own), 'label')}" for who, own in people.items()]
        if counts:
            st.markdown("Reviewed blind: " + ", ".join(counts))
        if len(people) < 2:
            who = "A second person turns" if people else "Nobody has reviewed this run blind yet. Each person turns"
            st.markdown(
                f"{who} on **Review blind** in the sidebar, under their own name; their labels are then compared here."
            )
            return
        _agreement(run, list(people))
        _merging(run, len(differ))
        _disagreements(view, differ)


def _agreement(run: Run, people: Sequence[str]) -> None:
    pairs = {f"{first} and {second}": (first, second) for first, second in combinations(people, 2)}
    if st.session_state.get(PAIR) not in pairs:
        st.session_state.pop(PAIR, None)
    chosen = st.selectbox("Which two", list(pairs), key=PAIR) if len(pairs) > 1 else next(iter(pairs))
    first, second = pairs[chosen]
    found = _found(run, first, second)
    if not found.labels:
        st.markdown(f"{plain(found.share.why)}. They go through the same queue in the same order.")
        return
    count = len(found.labels)
    st.markdown(
        f"{plain(first)} and {plain(second)} both decided on **{count:,}** {plural(count, 'label')}: "
        f"**{found.alike:,}** alike ({_share(found.share)}), **{len(found.differ):,}** otherwise."
    )
    st.markdown(
        f"Cohen’s kappa **{_kappa(found.kappa)}**"
        if found.kappa.value is not None
        else f"No kappa: {plain(found.kappa.why)}.",
        help="How far they agree beyond chance: 1 is always, 0 as often as chance would. In brackets, here and above, "
        "95% intervals by bootstrap over the labels.",
    )


@cached_by(
    lambda run, first, second: (run.state("run.json", "reviews.jsonl", "initial_negatives.csv"), first, second),
    max_entries=16,
)
def _found(run: Run, first: str, second: str) -> Agreement:
    return reviews.agreement(run, first, second)


def _share(figure: Figure) -> str:
    between = f", {100 * figure.bounds.low:.0f} to {100 * figure.bounds.high:.0f}%" if figure.bounds else ""
    return f"{percent(figure.value or 0.0)}{between}"


def _kappa(figure: Figure) -> str:
    between = f" ({figure.bounds.low:.2f} to {figure.bounds.high:.2f})" if figure.bounds else ""
    return f"{figure.value:.2f}{between}".replace("-", "−")


def _merging(run: Run, still: int) -> None:
    count = len(reviews.agreed(run))
    if not count:
        st.markdown("Everything that people agree on is in the run." if not still else "Nothing more to merge.")
        return
    with st.popover(f"Merge {count:,} agreed", icon=":material/merge:"):
        rest = f" What they disagree on ({still:,}) stays open." if still else ""
        st.markdown(
            f"{count:,} {plural(count, 'decision')} on which all who decided agree will act on the run, under all "
            f"their names.{rest}"
        )
        st.button("Merge into the run", type="primary", key="people_merge", on_click=_merge, args=(run, count))


@told
def _merge(run: Run, count: int) -> None:
    """Nothing where people agree on another number of labels than the button said."""
    merged, own = reviews.merge(run, count), own_lines()
    own.update(numbers(run, merged))
    written_at_once(run, merged)
    if merged:
        kept = sum(entry.new == KEPT for entry in merged)
        keep_said(run, merged, "merged", f"Merged: {kept:,} kept, {len(merged) - kept:,} dropped.")


def _disagreements(view: ReviewView, differ: Differ) -> None:
    """A link to the card of each label that is still to be settled."""
    if not differ:
        st.markdown("No disagreement is open.")
        return
    st.markdown(f"**{len(differ):,} to settle**")
    for label, said in list(differ.items())[:LISTED]:
        words = ", ".join(f"{plain(entry.who)} {entry.decision}" for entry in said)
        st.page_link(
            links.page("review"),
            label=f"{plain(label)}: {words}",
            query_params=view.query(label=label, queue="all", search="", id_class="", chosen="", around="", sample=()),
        )
    if len(differ) > LISTED:
        st.caption(f"and {len(differ) - LISTED:,} more, once these are settled")


def _names(said: Sequence[Review]) -> str:
    names = [f"**{plain(entry.who)}**" for entry in said]
    return f"{', '.join(names[:-1])} and {names[-1]}"
