"""What Learn shows, beyond what all pages share."""

from dataclasses import dataclass

from ..shared.view import View, choice

TITLES = {
    "similarity": "What similarity alone gets wrong",
    "negatives": "Negative labels from WordNet",
    "harm": "Why some negatives hurt",
    "judge": "The judge",
    "matching": "Matching two labels at once",
    "scores": "The scores and the metrics",
}


@dataclass(frozen=True)
class LearnView(View):
    lesson: str = choice(*TITLES)
