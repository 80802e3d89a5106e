"""What Judges shows, beyond what all pages share."""

from dataclasses import dataclass
from typing import Literal

from ..shared.view import View, choice


@dataclass(frozen=True)
class JudgesView(View):
    """`standard` says on whose decisions judges are tried: the run's own or the project's, or whichever are enough;
    `tried` is the judge that is looked at, the best where it is empty."""

    standard: Literal["", "own", "project"] = choice("", "own", "project")
    tried: str = ""
