"""How sure a language model is: P(yes) from the log-probabilities of its answer's first token."""

import math
from collections.abc import Iterator
from typing import Literal

BLANKS = " \t\r\n\"'*`:▁Ġ"  # around a token: blanks, as tokenizers write them, quotes and emphasis
LEAST = 0.1  # probability of yes and no together: a model that was about to say something else says nothing of them
DIGITS = 4


def p_yes(logprobs: object, is_structured: bool = False) -> float | None:
    """The probability of the tokens that begin a yes over that of those that begin a yes or a no, from a server's
    `logprobs`; None where it gives none, or neither is likely.

    Taken where the reply begins; in a structured one where yes or no is said, after the bracket.
    """
    tokens = [entry for entry in _list(logprobs, "content") if str(_field(entry, "token")).strip(BLANKS)]
    if is_structured:
        tokens = [entry for entry in tokens if _side(_field(entry, "token"))]
    if not tokens:
        return None
    mass = {"yes": 0.0, "no": 0.0}
    for token, probability in _likely(tokens[0]):
        side = _side(token)
        if side:
            mass[side] += probability
    total = mass["yes"] + mass["no"]
    return round(mass["yes"] / total, DIGITS) if total >= LEAST else None


def _likely(entry: object) -> Iterator[tuple[object, float]]:
    """(token, probability) of the likely tokens at this place."""
    for candidate in _list(entry, "top_logprobs"):
        logprob = _field(candidate, "logprob")
        if isinstance(logprob, int | float) and logprob <= 0:
            yield _field(candidate, "token"), math.exp(logprob)


def _side(token: object) -> Literal["yes", "no"] | None:
    """Which answer a token begins, by the rule that a reply is read by; a first letter alone begins it too."""
    text = token.strip(BLANKS).lower() if isinstance(token, str) else ""
    if text.startswith("yes") or text in ("y", "ye"):
        return "yes"
    return "no" if text.startswith("no") or text == "n" else None


def _list(holder: object, name: str) -> list[object]:
    found = _field(holder, name)
    return found if isinstance(found, list) else []


def _field(holder: object, name: str) -> object:
    return holder.get(name) if isinstance(holder, dict) else None
