"""The threshold's controls: a rule, or by hand with a slider."""

import streamlit as st

from negrefine_core.operating_point import MARKED, TPR95
from negrefine_core.show.charts import decimals

from ..shared.operating_point import BY_HAND, RULES, has_marks_enough
from ..shared.scored_images import ScoredImages
from ..shared.view import View, change, now

STEPS = 500
HELP = (
    "- **95% of ID kept**: the threshold of FPR@95, at which the true positive rate (TPR) is nearest to 95%: as in the "
    "paper the lowest score of all images that has this rate, so it moves a little with the OOD images\n"
    "- **Balanced**: Youden’s J, the largest TPR − FPR\n- **By hand**: with a slider"
)
HELP_ALONE = (
    "- **95% of ID kept**: carried over from the run’s set of your classes, of which 95% lie at or above it\n"
    "- **Median**: half of these pictures lie on either side, where there is no such set; it is only a start\n"
    "- **From your marks**: the same rule on the pictures that you marked, once there are enough; marked in random "
    "order, they stand for the whole set\n"
    "- **By hand**: with a slider"
)


def choose_rule(view: View, images: ScoredImages) -> None:
    rules = _rules(images)
    labels = rules | {BY_HAND: "By hand"}
    rule = view.threshold if view.threshold in rules else TPR95
    st.session_state["pick_rule"] = BY_HAND if _is_by_hand(view, images) else rule
    st.segmented_control(
        "Threshold",
        list(labels),
        key="pick_rule",
        format_func=labels.__getitem__,
        required=True,
        wrap=True,
        on_change=lambda: _follow_rule(view, images.threshold),
        help=HELP_ALONE if images.is_alone else HELP,
    )


def threshold_slider(view: View, images: ScoredImages) -> None:
    """Only there while the threshold is set by hand."""
    values = images.table[images.score.column]
    low, high = float(values.min()), float(values.max())
    if low == high or not _is_by_hand(view, images):
        return
    if not low <= images.threshold <= high:
        st.caption(
            f":material/info: The threshold {images.threshold:,.6g} lies outside these scores, {images.text(low)} to "
            f"{images.text(high)}: all images are on one side of it."
        )
    st.session_state["pick_threshold"] = min(max(images.threshold, low), high)
    st.slider(
        "Threshold by hand",
        low,
        high,
        step=(high - low) / STEPS,
        key="pick_threshold",
        format=f"%.{decimals(values)}f",
        on_change=_by_hand,
        args=(view,),
        help="Images at or above it count as ID.",
    )


def _is_by_hand(view: View, images: ScoredImages) -> bool:
    return view.threshold not in (*RULES, MARKED) and view.score == images.score.column


def _rules(images: ScoredImages) -> dict[str, str]:
    """A set by itself has the rule of what its threshold is carried over from, else its own median; and its marks."""
    if not images.is_alone:
        return RULES
    rules = {TPR95: RULES[TPR95] if images.known is not None else "Median"}
    return rules | ({MARKED: "From your marks"} if has_marks_enough(images.table) else {})


def _by_hand(view: View) -> None:
    if now(view).score == view.score:  # on the scale of another score it means nothing
        change(view, threshold=repr(st.session_state["pick_threshold"]), page=1)


def _follow_rule(view: View, at: float) -> None:
    rule = st.session_state["pick_rule"]
    if rule != BY_HAND:
        change(view, threshold=rule, page=1)
    elif now(view).score == view.score:
        change(view, threshold=repr(at), page=1)
