"""How pages write text and numbers: names from files made harmless for Markdown, figures in one format."""

import re
from collections.abc import Iterable, Sequence

from negrefine_core.benchmarks.datasets import OF_ID_CLASSES, contaminated
from negrefine_core.metrics import Convention

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$:<>&])")


def plain(text: str) -> str:
    """A file or label name as it reads, whatever Markdown or HTML it holds."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def sentence(text: str) -> str:
    """With a capital letter at its start."""
    return text[:1].upper() + text[1:]


def percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def interval(bounds: list[float] | None) -> str:
    return f"{100 * bounds[0]:.1f} – {100 * bounds[1]:.1f}" if bounds else "–"


def duration(seconds: float) -> str:
    """Seconds as a person says them: 8 s, 3 min, 2 h 5 min."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def plural(count: int, what: str) -> str:
    """What is counted, as its number asks: 1 image, 2 images."""
    return what if count == 1 else f"{what}s"


def pace(per_second: float, what: str) -> str:
    """How quickly work goes: 0.8 images a second, 1,203 labels a second."""
    return f"{per_second:,.{0 if per_second >= 10 else 1}f} {what} a second"


def equals(neglabel: float, alpha: float, matching: float, score: float) -> str:
    """The sign between the rounded NegLabel + alpha x multi-matching and the rounded score."""
    return "=" if f"{round(neglabel, 3) + alpha * round(matching, 3):.3f}" == f"{score:.3f}" else "≈"


def positive_class(convention: Convention) -> str:
    """Which class FPR@95 takes as positive."""
    words: dict[Convention, str] = {"id-positive": "ID", "ood-positive": "OOD", "pytorch-ood": "OOD (pytorch-ood’s)"}
    return words[convention]


def contamination(image_sets: Iterable[str]) -> str:
    """What to know of those OOD sets that hold images of ID classes; empty where none does."""
    names = contaminated(image_sets)
    listed = " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
    holds = "holds" if len(names) == 1 else "hold"
    if not names:
        return ""
    return f"**{plain(listed)}** {holds} {OF_ID_CLASSES}, the figures say less."


def some(names: Sequence[str], most: int) -> str:
    """The first names, and a sign that there are more."""
    return ", ".join(plain(name) for name in names[:most]) + (" …" if len(names) > most else "")
