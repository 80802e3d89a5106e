"""What Explore shows, beyond what all pages share."""

from dataclasses import dataclass

from ..shared.view import View, choice, flag

CURVES = {"roc": "ROC", "pr": "Precision–recall"}
COLOURS = {
    "kind": "ID or OOD", "outcome": "Outcome", "score": "Score", "class": "Class it looks like", "set": "Image set",
}  # fmt: skip


@dataclass(frozen=True)
class ExploreView(View):
    """`curve` beside the histogram, and what to `show` below. On the map the points have a `colour` by something, and
    some are `pictured`. A selection is compared `against` another."""

    curve: str = choice(*CURVES)
    show: str = choice("pictures", "map", "metrics", "unreadable")
    colour: str = choice(*COLOURS)
    pictured: bool = flag()
    against: str = ""
