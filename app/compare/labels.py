"""The negatives that only one of two sides compares with, and why the other lacks them."""

import pandas as pd
import streamlit as st

from negrefine_core.comparison import judged_diff, label_diff

from ..shared.cached import cached_by
from ..shared.review_link import review_column, review_url
from ..shared.view import bound
from ..shared.words import plain
from .sides import Sides
from .view import CompareView

FILES = ("run.json", "initial_negatives.csv", "negatives.csv", "neglabel_negatives.csv", "overrides.jsonl")
MEANING = (
    "- **proper noun**, **subcategory**, **same**: the verdict that rejected it, and for which ID class\n"
    "- **dropped by a person**: an override\n- **cleaned**: before a judge is asked, the filter strips a name of signs "
    "and digits: the name as mined is removed, what is left of it added, unless it is too short or there already\n"
    "- **not mined**: the other side does not have it among its candidates’ least similar"
)


def label_differences(view: CompareView, sides: Sides) -> None:
    st.markdown("**Negatives that differ**", help=MEANING)
    if all(side.score.negatives == "none" for side in sides.both):
        st.info("These scores compare with no negatives, so there are none that differ. Choose another score above.")
        return
    for side in sides.both:
        if side.score.negatives == "none":
            st.caption(f"{plain(side.name)} compares with no negatives at all.")
    table = _diff(sides)
    if table.empty:
        st.info("Both sides compare with exactly the same negatives.")
        return
    removed, added = (_counted(table, change) for change in ("removed", "added"))
    st.markdown(f"From {plain(sides.first.name)} to {plain(sides.second.name)}: {removed}, {added}.", help=MEANING)
    shown = search(table, view)
    if shown.empty:
        st.info("No label holds this text. Empty the search.")
        return
    runs = {"removed": sides.second.log, "added": sides.first.log}  # the side that lacks it has the verdict
    st.dataframe(
        pd.DataFrame(
            {
                "Negative": shown["label"],
                "Change": shown["change"],
                "Why": shown["kind"],
                "ID class": shown["id_label"],
                "Part of speech": shown["pos"],
                "Review": [
                    review_url(view, runs[change], label) if is_decided else None
                    for is_decided, change, label in shown[["is_decided", "change", "label"]].to_numpy()
                ],
            }
        ),
        hide_index=True,
        height=38 + 35 * min(len(shown), 15),
        column_config={"Review": review_column()},
        placeholder="–",
        alt="Negatives of only one side, whether they were removed or added, and why",
    )


def _counted(table: pd.DataFrame, change: str) -> str:
    """How many labels were removed or added, by why: 12 removed (9 subcategory, 2 proper noun, 1 cleaned)."""
    kinds = table.loc[table["change"] == change, "kind"].value_counts()
    each = f" ({', '.join(f'{count:,} {kind}' for kind, count in kinds.items())})" if len(kinds) else ""
    return f"**{kinds.sum():,}** {change}{each}"


def search(table: pd.DataFrame, view: CompareView) -> pd.DataFrame:
    """The rows whose label or ID class holds the view's text."""
    st.text_input(
        "Search",
        placeholder="text in the label or the ID class",
        icon=":material/search:",
        max_chars=80,
        **bound(view, "find"),
    )
    if not view.find:
        return table
    texts = table["label"] + "\n" + table["id_label"].fillna("")
    return table[texts.str.contains(view.find, case=False, regex=False)]


def _state(sides: Sides) -> tuple[object, ...]:
    return tuple(side.state(*FILES) for side in sides.both)


@cached_by(_state, max_entries=16, spinner="Comparing the labels")
def _diff(sides: Sides) -> pd.DataFrame:
    first, second = sides.both
    if first.judged and second.judged:
        return judged_diff(second.run, first.judged.decided, second.judged.decided)
    return label_diff((first.run, first.score.column), (second.run, second.score.column))
