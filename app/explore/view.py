"""What Explore shows, beyond what all pages share."""

from dataclasses import dataclass

from ..shared.view import View, choice

CURVES = {"roc": "ROC", "pr": "Precision–recall"}


@dataclass(frozen=True)
class ExploreView(View):
    """`curve` beside the histogram, and what to `show` below."""

    curve: str = choice(*CURVES)
    show: str = choice("pictures", "metrics", "unreadable")
