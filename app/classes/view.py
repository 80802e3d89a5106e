"""What ID classes shows, beyond what all pages share."""

from dataclasses import dataclass
from typing import Literal

from ..shared.view import View, choice

STEPS = {"edit": "1 · Edit and re-mine", "changes": "2 · What changed", "refine": "3 · Refine and score"}


@dataclass(frozen=True)
class ClassesView(View):
    """`begin` asks for an empty list to write one's own classes into; it leaves the URL once there is one."""

    begin: Literal["", "own"] = choice("", "own")
    step: str = choice(*STEPS)
