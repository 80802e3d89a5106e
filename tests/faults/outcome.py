"""What came of one trial."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["equal", "clear", "wrong", "traceback", "hung"]
VERDICTS: tuple[Verdict, ...] = ("equal", "clear", "wrong", "traceback", "hung")
BAD: tuple[Verdict, ...] = ("wrong", "traceback", "hung")


@dataclass(frozen=True)
class Outcome:
    """`fault` says what was done to the step, `said` what was seen. Equal: all is as if nothing had been; clear: one
    line said what is wrong, and what it advises helps; wrong: something differs without a word."""

    kind: str
    step: str
    fault: str
    verdict: Verdict
    said: str = ""
