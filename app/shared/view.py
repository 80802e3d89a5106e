"""What a page shows, as one value that is kept in the URL: a link reopens the same view.

Each page has a view of its own over the fields that all share: a control is one field there, made by `choice`,
`number`, `names`, `lines` or a plain text, and one widget that is `bound` to it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, Literal, Self, TypedDict, TypeVar
from urllib.parse import unquote

import streamlit as st

from negrefine_core.methods import DEFAULT
from negrefine_core.metrics import Convention
from negrefine_core.operating_point import BY_CODE, RULES
from negrefine_core.operating_point import MARKED as BY_MARKS

from .links import PageName

KEPT = "view"  # the session's last query: the menu's links carry none
WITH_ANY_RUN = ("source", "root")  # parameters that stay when another run is chosen
ID_POSITIVE: Convention = "id-positive"
OOD_POSITIVE: Convention = "ood-positive"
PYTORCH_OOD: Convention = "pytorch-ood"
SORTS = {
    "wrong": ("Most wrong", "furthest on the wrong side of the threshold first"),
    "nearest": ("Nearest the threshold", "the closest calls first"),
    "highest": ("Highest score", "most in-distribution first"),
    "lowest": ("Lowest score", "most out-of-distribution first"),
    "changed": ("Most changed by refinement", "largest move in rank from CSP to NegRefine first"),
    "random": ("Random", "drawn by chance, and always the same"),
    "similar": ("Most similar", "nearest to what is searched for first"),
}
NEAREST = {"48": "48 images", "12": "12 images", "192": "192 images", "all": "All images"}
PROJECTIONS = {
    "pca": ("PCA, at once", "the two directions in which all of them differ most"),
    "tsne": ("t-SNE, in a minute", "what is most alike stands together; how far apart groups stand says little"),
}
MARKED = {"no": "Not marked yet", "yes": "Marked", "wrong": "Marked, and taken for the other kind"}
ALL_IMAGES: dict[str, Any] = {  # no filter
    "outcome": "", "low": None, "high": None, "taken": "", "shows": "", "file": "", "marked": "", "page": 1,
    "words": "", "like": "", "selection": "",
}  # fmt: skip
Choice = TypeVar("Choice", bound=str)


@dataclass(frozen=True)
class _Form:
    """How a field is written in the URL. `read` raises ValueError for what makes no sense."""

    read: Callable[[str], Any] = str
    write: Callable[[Any], str] = str


def choice(*values: Choice) -> Choice:
    """A field that is one of these; the first is the default."""
    return _written(values[0], _Form(lambda text: values[values.index(text)]))


def choice_or_number(*values: str) -> str:
    """One of these, or a finite number as text."""

    def read(text: str) -> str:
        if text not in values:
            _finite(text)
        return text

    return _written(values[0], _Form(read))


def number() -> float | None:
    """A finite number, or None."""
    nothing: float | None = None
    return _written(nothing, _Form(_finite))


def flag() -> bool:
    """On or off."""
    return _written(False, _Form(lambda text: text == "on", lambda is_on: "on" if is_on else ""))


def count() -> int:
    """A number from 1."""
    return _written(1, _Form(_counted))


def names() -> tuple[str, ...]:
    """Names with commas between them; a comma inside one is written as %2C."""
    nothing: tuple[str, ...] = ()
    return _written(nothing, _Form(_split_names, _joined_names))


def lines() -> tuple[str, ...]:
    """Texts, one a line, as labels may hold commas."""
    nothing: tuple[str, ...] = ()
    return _written(nothing, _Form(lambda text: tuple(filter(None, text.split("\n"))), "\n".join))


Value = TypeVar("Value")


def _written(default: Value, form: _Form) -> Value:
    return field(default=default, metadata={"form": form})


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _counted(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise ValueError(text)
    return max(1, int(text))


def _split_names(text: str) -> tuple[str, ...]:
    return tuple(unquote(name) for name in text.split(",") if name)


def _joined_names(parts: tuple[str, ...]) -> str:
    return ",".join(part.replace("%", "%25").replace(",", "%2C") for part in parts)


@dataclass(frozen=True)
class View:
    """The fields are the URL's query parameters; a default is left out of the URL.

    `run` empty = the bundled run; `id` empty = the run's own; `ood` empty = every set that was said to be OOD. `alone`
    names an image set that is looked at by itself, such as one of which nobody knows what it shows. `threshold` is a
    rule, "marks" or a number. `words` or an image (SET/PATH) that others are `like` are searched for, and the `nearest`
    looked at; a `selection`, by its name or id, is looked at alone. `outcome`, `low` and `high` around the scores, the
    class that an image is `taken` for, the one that it `shows`, a text in its `file`'s path and whether it is `marked`
    say which images are shown, `sort` and `page` in what order and which of them. `image` is SET/PATH, and `back` the
    page whose gallery it was opened from.

    `carried` are the parameters of other pages, which are kept as they came: the way back finds them.
    """

    run: str = ""
    id: str = ""
    ood: tuple[str, ...] = names()
    alone: str = ""
    score: str = DEFAULT
    threshold: str = choice_or_number(*RULES, BY_MARKS)
    convention: Convention = choice(ID_POSITIVE, OOD_POSITIVE, PYTORCH_OOD)  # noqa: RUF009 - it makes a field
    outcome: str = choice("", *BY_CODE)
    low: float | None = number()
    high: float | None = number()
    taken: str = ""
    shows: str = ""
    file: str = ""
    marked: str = choice("", *MARKED)
    words: str = ""
    like: str = ""
    nearest: str = choice(*NEAREST)
    selection: str = ""
    projection: str = choice(*PROJECTIONS)
    sort: str = choice(*SORTS)
    page: int = count()
    image: str = ""
    back: Literal["explore", "compare", "review"] = choice("explore", "compare", "review")
    carried: Mapping[str, str] = field(default_factory=dict, kw_only=True)

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> Self:
        """The view of a query; what makes no sense is left at its default, since anyone may edit a URL."""
        own = {f.name for f in _parameters(cls)}
        return cls(**cls._read(query)[0], carried={name: text for name, text in query.items() if name not in own})

    @classmethod
    def nonsense(cls, query: Mapping[str, str]) -> dict[str, str]:
        """The parameters of a query that make no sense."""
        return cls._read(query)[1]

    @classmethod
    def _read(cls, query: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
        """(The values of the fields that a query holds, the parameters that make no sense.)"""
        values: dict[str, Any] = {}
        senseless: dict[str, str] = {}
        for f in _parameters(cls):
            if f.name in query:
                try:
                    values[f.name] = _form(f).read(query[f.name])
                except ValueError:
                    senseless[f.name] = query[f.name]
        return values, senseless

    def query(self, **changes: Any) -> dict[str, str]:
        """The query that reopens this view with some fields changed; another page's are given as the URL has them."""
        own = {f.name: f for f in _parameters(self)}
        view = replace(self, **{name: value for name, value in changes.items() if name in own})
        others = {name: text for name, text in changes.items() if name not in own}
        written = {
            name: _form(f).write(getattr(view, name)) for name, f in own.items() if getattr(view, name) != f.default
        }
        return written | {name: text for name, text in ({**self.carried} | others).items() if text}

    @property
    def chosen_scores(self) -> tuple[float, float] | None:
        return None if self.low is None or self.high is None else (self.low, self.high)

    @property
    def is_search(self) -> bool:
        return bool(self.words.strip() or self.like)


AnyView = TypeVar("AnyView", bound=View)


def _parameters(view: View | type[View]) -> list[Field[Any]]:
    return [f for f in fields(view) if f.name != "carried"]


def _form(f: Field[Any]) -> _Form:
    form: _Form = f.metadata.get("form", _Form())
    return form


def current(page: PageName, kind: type[AnyView]) -> AnyView:
    """The URL's view; the session's last one where the menu led to another page without a query."""
    arrived = st.session_state.get("page") != page
    if arrived and not st.query_params.to_dict() and KEPT in st.session_state:
        st.query_params.from_dict(st.session_state[KEPT])
    view = kind.parse(st.query_params.to_dict())
    st.session_state["page"], st.session_state[KEPT] = page, view.query()
    return view


def nowhere(page: PageName) -> View:
    """The session's last view, on a page that shows no run: the menu leads back to it, and the URL stays bare."""
    st.session_state["page"] = page
    return View.parse(st.session_state.get(KEPT, {}))


def now(view: AnyView) -> AnyView:
    """The URL's view at this moment, for a callback: it may be ahead of the one that its widget was drawn with."""
    return type(view).parse(st.query_params.to_dict())


def change(view: View, **changes: Any) -> None:
    """Go to the URL's view with some fields changed, from a callback: what a click before it changed stays."""
    st.query_params.from_dict(now(view).query(**changes))


def go_to_run(run: str, **parameters: str) -> None:
    """Show another run with nothing chosen, but where pictures to score are looked for."""
    query = st.query_params.to_dict()
    kept = {name: query[name] for name in WITH_ANY_RUN if name in query}
    st.query_params.from_dict(View(run=run, carried=kept).query(**parameters))


class Bound(TypedDict):
    key: str
    on_change: Callable[[], None]


def bound(view: View, name: str, shown: object = None, /, **also: Any) -> Bound:
    """The arguments that bind a widget to a field: it shows the field's value, or `shown` where the run knows better.

    Its change goes to the URL, with the fields in `also`.
    """
    key = f"pick_{name}"
    st.session_state[key] = getattr(view, name) if shown is None else shown
    return {"key": key, "on_change": lambda: change(view, **{name: picked(name)}, **also)}


def switch(
    label: str,
    options: Mapping[str, str],
    view: View,
    name: str,
    shown: str | None = None,
    then: Callable[[], None] | None = None,
) -> None:
    """A row of buttons, one of them down, bound to a field: the field's values with what is written on each.

    The label is for screen readers alone. `shown` is down where the run knows better than the field; `then` is done in
    place of changing the field alone.
    """
    given = bound(view, name, shown)
    if then:
        given["on_change"] = then
    st.segmented_control(
        label,
        list(options),
        format_func=options.__getitem__,
        label_visibility="collapsed",
        required=True,
        **given,
    )


def picked(name: str) -> Any:
    """What the widget bound to a field stands at."""
    value = st.session_state[f"pick_{name}"]
    return value.strip() if isinstance(value, str) else value
