"""How pages write text and numbers: names from files made harmless for Markdown, figures in one format."""

import re

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$:<>&])")


def plain(text: str) -> str:
    """A file or label name as it reads, whatever Markdown or HTML it holds."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def interval(bounds: list[float] | None) -> str:
    return f"{100 * bounds[0]:.1f} – {100 * bounds[1]:.1f}" if bounds else "–"
