"""What is wrong with a list of class names, said so that it can be put right; and the list with all of it mended."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from negrefine_core.labels import has_hidden, visible

from ..shared.words import plain

MAX_CHARACTERS = 100
MIN_CLASSES = 2
SHOWN = 3  # names of each problem


@dataclass(frozen=True)
class Problem:
    """`text` is Markdown. Nothing can be mined while a problem `blocks`; the others are mended on the way.

    A hint says what to do where nothing is wrong yet.
    """

    text: str
    blocks: bool = False
    is_hint: bool = False


def mended(names: Sequence[str]) -> list[str]:
    """The names as they will be used: without invisible characters, blanks and repeated names, in their order."""
    kept: dict[str, str] = {}
    for name in map(visible, names):
        if name:
            kept.setdefault(name.casefold(), name)
    return list(kept.values())


def trimmed(names: Sequence[str]) -> list[str]:
    """The names without the blank ones at the end."""
    filled = [place for place, name in enumerate(names, 1) if visible(name)]
    return list(names[: filled[-1]]) if filled else []


def problems(names: Sequence[str], is_too_long: Callable[[str], bool], context: int | None) -> list[Problem]:
    """Everything to point out; blank rows at the end are left out without a word, since each added row begins as one.

    `is_too_long` says whether a name's longest prompt exceeds the model's `context`.
    """
    names = trimmed(names)
    usable = mended(names)
    found = []
    if not names:
        begin = f"**Paste, upload or type your class names**, one a row: at least {MIN_CLASSES} classes are needed."
        found.append(Problem(begin, blocks=True, is_hint=True))
    elif len(usable) < MIN_CLASSES:
        found.append(Problem(f"**At least {MIN_CLASSES} classes are needed**; the list has {len(usable)}.", True))
    long = [name for name in usable if len(name) > MAX_CHARACTERS]
    if long:
        found.append(Problem(f"**Longer than {MAX_CHARACTERS} characters**, the limit: {_some(long)}. Shorten.", True))
    cut = [name for name in usable if len(name) <= MAX_CHARACTERS and is_too_long(name)]
    if cut:
        found.append(
            Problem(
                f"**More than the {context} tokens that the model reads**, in the longest prompt: {_some(cut)}. "
                "The end of the prompt would not be read."
            )
        )
    spelt = [visible(name) for name in names]
    counts = Counter(name.casefold() for name in spelt if name)
    twice = [name for name in usable if counts[name.casefold()] > 1]
    if twice:
        found.append(
            Problem(
                f"**There more than once** (upper and lower case count as the same): {_some(twice)}. "
                "The first of each is used."
            )
        )
    blank = sum(not name for name in spelt)
    if blank:
        found.append(Problem(f"**{blank:,} blank {'row' if blank == 1 else 'rows'}**, to be left out."))
    hidden = [name for name in names if has_hidden(name)]
    if hidden:
        shown = [name.encode("unicode_escape").decode() if name.isascii() else ascii(name)[1:-1] for name in hidden]
        found.append(Problem(f"**Characters that cannot be seen**, to be taken out: {_some(shown)}."))
    return found


def _some(names: Sequence[str]) -> str:
    short = [name if len(name) <= 40 else f"{name[:40]}…" for name in names[:SHOWN]]
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(f"“{plain(name)}”" for name in short) + more
