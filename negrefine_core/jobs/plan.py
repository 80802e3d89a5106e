"""One bar over a whole job: what share of it is done, and how long the rest takes, by the rates that were measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from .spec import Unit

USUAL: Mapping[Unit, float] = {  # a second, with the bundled model and WordNet on two cores
    "bytes": 10_000_000,
    "prompts": 10_000,
    "labels": 500,
    "images": 100,
    "comparisons": 20,
    "rounds": 20,
}
FULL = 0.99  # the bar's end until the job has ended: a step still writes its files when all is counted


def by_model(unit: Unit, model: str, pretrained: str | None) -> str:
    """The name of a model's pace."""
    return f"{unit} by {model} {pretrained or ''}".strip()


@dataclass(frozen=True)
class Part:
    """A step: `amount` of its unit as it was expected, and `pace`, which names the work whose rate it goes by.

    `by` says what sets the pace: the model, this machine (moments, so that its usual rate will do) or a server.
    """

    unit: Unit
    amount: int
    pace: str
    by: Literal["model", "machine", "server"]


class Plan:
    """The steps of a job. `rates` are those measured before, in items a second by pace; new ones are added to them."""

    def __init__(self, parts: Sequence[Part], rates: Mapping[str, float]) -> None:
        self.rates = dict(rates)
        self._parts = parts
        self._amounts = [max(1, part.amount) for part in parts]
        self._share = 0.0

    def at(self, place: int, done: int, total: int, rate: float | None) -> tuple[float, float | None]:
        """(Share of the job that is done, which never falls; seconds left, None where a rate is not known).

        The step at `place` (from 0) has done so much of what it holds, at this rate where that is known.
        """
        self._amounts[place] = max(1, total)
        if rate:
            self.rates[self._parts[place].pace] = rate
        rates = [self._rate(part) for part in self._parts]
        seconds = [
            amount / (rate or USUAL[part.unit])
            for part, amount, rate in zip(self._parts, self._amounts, rates, strict=True)
        ]
        left = 1 - min(1.0, max(0.0, done / self._amounts[place]))
        ahead = left * seconds[place] + sum(seconds[place + 1 :])
        self._share = max(self._share, min(FULL, 1 - ahead / sum(seconds)))
        return self._share, ahead if all(rates[place:]) else None

    def ended(self, place: int) -> tuple[float, float | None]:
        """The same, when all that the step at `place` holds is done."""
        return self.at(place, self._amounts[place], self._amounts[place], None)

    def _rate(self, part: Part) -> float | None:
        """What was measured of this pace, else what can be expected: by the model's other work, or as usual."""
        if part.pace in self.rates or part.by == "server":
            return self.rates.get(part.pace)
        if part.by == "machine":
            return USUAL[part.unit]
        measured = [
            self.rates[other.pace] / USUAL[other.unit]
            for other in self._parts
            if other.by == "model" and other.pace in self.rates
        ]
        return USUAL[part.unit] * median(measured) if measured else None
