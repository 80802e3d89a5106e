"""What a page shows, as one value that is kept in the URL: a link reopens the same view."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import unquote

import streamlit as st

from .operating_point import BY_CODE, TPR95, YOUDEN
from .scores import DEFAULT

KEPT = "view"  # the session's last view: the menu's links carry no query
ID_POSITIVE, OOD_POSITIVE = "id-positive", "ood-positive"
CHOICES = {  # what a parameter may be; its first value is the default
    "sort": ("wrong", "nearest", "highest", "lowest", "changed"),
    "curve": ("roc", "pr"),
    "show": ("pictures", "metrics", "unreadable"),
    "convention": (ID_POSITIVE, OOD_POSITIVE),
    "source": ("bundled", "files", "directory", "server", "benchmark"),
    "queue": ("rejected", "unreviewed", "proper", "subcategory", "same", "kept", "overridden", "all"),
    "order": ("suspicion", "impact", "similarity", "alphabet", "mined"),
    "step": ("edit", "changes", "refine"),
    "compare": ("methods", "runs", "judges"),
    "flip": ("fixed", "broken", "wrong", "right"),
    "differ": ("pictures", "labels"),
    "back": ("explore", "compare", "review"),
    "lesson": ("similarity", "negatives", "harm", "judge", "matching", "scores"),
}
_LINES = ("off_ids", "off")  # one a line, since labels may hold commas; image sets have them written as %2C


@dataclass(frozen=True)
class View:
    """The fields are the URL's query parameters; a default is left out of the URL.

    `run` empty = the bundled run; `id` empty = the run's own; `ood` empty = every other set. `threshold` is a rule or
    a number. `low` and `high` bound the brushed scores.
    `image` is SET/PATH, and `back` the page whose gallery it was opened from. `queue`, `order`, `search` and `id_class`
    choose the negatives to review, `label` is the one on the card. `root` holds the benchmark sets to score. `first`
    and `second` are the scores compared, `other` the first side's run, `judge` and `other_judge` the judges; `find`
    searches the labels that differ. `off_ids` and `off` are the labels switched off on an image.
    """

    run: str = ""
    id: str = ""
    ood: tuple[str, ...] = ()
    score: str = DEFAULT.column
    threshold: str = TPR95
    outcome: str = ""
    low: float | None = None
    high: float | None = None
    sort: str = "wrong"
    page: int = 1
    curve: str = "roc"
    show: str = "pictures"
    convention: str = ID_POSITIVE
    image: str = ""
    back: str = "explore"
    source: str = "bundled"
    root: str = ""
    queue: str = "rejected"
    order: str = "suspicion"
    search: str = ""
    id_class: str = ""
    label: str = ""
    step: str = "edit"
    compare: str = "methods"
    first: str = ""
    second: str = DEFAULT.column
    other: str = ""
    judge: str = ""
    other_judge: str = ""
    flip: str = "fixed"
    differ: str = "pictures"
    find: str = ""
    off_ids: tuple[str, ...] = ()
    off: tuple[str, ...] = ()
    lesson: str = "similarity"

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> "View":
        """The view of a query; what makes no sense is left at its default, since anyone may edit a URL."""
        return cls(**{f.name: _read(f.name, query[f.name], f.default) for f in fields(cls) if f.name in query})

    def query(self, **changes: Any) -> dict[str, str]:
        """The query that reopens this view, with some fields changed."""
        view = replace(self, **changes)
        kept = {f.name: getattr(view, f.name) for f in fields(view) if getattr(view, f.name) != f.default}
        return {name: _joined(name, value) if isinstance(value, tuple) else str(value) for name, value in kept.items()}

    @property
    def chosen_scores(self) -> tuple[float, float] | None:
        return None if self.low is None or self.high is None else (self.low, self.high)


def _joined(name: str, parts: tuple[str, ...]) -> str:
    if name in _LINES:
        return "\n".join(parts)
    return ",".join(part.replace("%", "%25").replace(",", "%2C") for part in parts)


def _read(name: str, text: str, default: Any) -> Any:
    if name in CHOICES:
        return text if text in CHOICES[name] else default
    if isinstance(default, tuple):
        parts = text.split("\n") if name in _LINES else [unquote(part) for part in text.split(",")]
        return tuple(part for part in parts if part)
    if name == "outcome":
        return text if text in BY_CODE else default
    if name == "page":
        return max(1, int(text)) if text.isdecimal() and len(text) < 10 else default
    if name in ("low", "high"):
        return _finite(text)
    if name == "threshold":
        return text if text in (TPR95, YOUDEN) or _finite(text) is not None else default
    return text


def _finite(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def current(page: str) -> View:
    """The URL's view; the session's last one where the menu led to another page without a query."""
    arrived = st.session_state.get("page") != page
    if arrived and not st.query_params.to_dict() and KEPT in st.session_state:
        st.query_params.from_dict(st.session_state[KEPT].query())
    view = View.parse(st.query_params.to_dict())
    st.session_state["page"], st.session_state[KEPT] = page, view
    return view


def change(view: View | None, **changes: Any) -> None:
    """Go to the page's view with some fields changed, or to a blank one with None; for widgets' callbacks.

    The URL may be ahead of the view that a widget was drawn with: what a click before it changed stays.
    """
    start = View.parse(st.query_params.to_dict()) if view else View()
    st.query_params.from_dict(start.query(**changes))
