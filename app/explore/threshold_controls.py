"""The threshold's controls: a rule, or a slider that sets it by hand."""

import streamlit as st

from negrefine_core.show.charts import decimals

from ..shared.operating_point import BY_HAND, TPR95, YOUDEN
from ..shared.scored_images import ScoredImages
from ..shared.view import View, change

RULES = {TPR95: "95% of ID kept", YOUDEN: "Balanced (Youden)"}
STEPS = 500


def draw(view: View, images: ScoredImages) -> None:
    left, right = st.columns([3, 2], gap="medium")
    labels = RULES | {BY_HAND: "By hand"}
    st.session_state["pick_rule"] = view.threshold if view.threshold in RULES else BY_HAND
    left.segmented_control(
        "Threshold", list(labels), key="pick_rule", format_func=labels.__getitem__, required=True, wrap=True,
        on_change=lambda: _follow_rule(view, images.threshold),
        help="- **95% of ID kept**: the threshold of FPR@95, at which the true positive rate (TPR) is nearest to 95%: "
        "as in the paper the lowest score of all images that has this rate, so it moves a little with the OOD images\n"
        "- **Balanced**: Youden’s J, the largest TPR − FPR\n- **By hand**: where the slider stands",
    )  # fmt: skip
    values = images.table[images.score.column]
    low, high = float(values.min()), float(values.max())
    if low < high:
        st.session_state["pick_threshold"] = min(max(images.threshold, low), high)
        right.slider(
            "Threshold by hand", low, high, step=(high - low) / STEPS, key="pick_threshold",
            format=f"%.{decimals(values)}f",
            on_change=lambda: change(view, threshold=repr(st.session_state["pick_threshold"]), page=1),
            help="Images at or above it count as ID.",
        )  # fmt: skip


def _follow_rule(view: View, at: float) -> None:
    rule = st.session_state["pick_rule"]
    change(view, threshold=repr(at) if rule == BY_HAND else rule, page=1)
