"""What ID classes shows, beyond what all pages share."""

from dataclasses import dataclass

from ..shared.view import View, choice

STEPS = {"edit": "1 · Edit and re-mine", "changes": "2 · What changed", "refine": "3 · Refine and score"}


@dataclass(frozen=True)
class ClassesView(View):
    step: str = choice(*STEPS)
