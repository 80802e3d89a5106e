"""What ID classes shows, beyond what all pages share."""

from dataclasses import dataclass
from typing import Literal

from ..shared.view import View, choice

STEPS = {"edit": "Edit and re-mine", "changes": "What changed", "refine": "Refine and score"}


@dataclass(frozen=True)
class ClassesView(View):
    """`begin` is the way of one's own classes, from an empty list to a new run; `first` puts the models on top."""

    begin: Literal["", "own"] = choice("", "own")
    step: str = choice(*STEPS)
    first: Literal["", "model"] = choice("", "model")
