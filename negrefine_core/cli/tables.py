"""Tables on the terminal and in pipes: on a terminal long words wrap, in a pipe a row is a line; no figure is cut."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:  # its libraries take a second to import
    from ..metrics import Figure

PIPE = 1000  # characters: wider than any row


def console() -> Console:
    """Prints what it is given as it is: a name with brackets is no markup."""
    plain = Console(markup=False, highlight=False, emoji=False)
    if not plain.is_terminal:
        plain.width = PIPE
    return plain


def table(words: Iterable[str], figures: Iterable[str], more_words: Iterable[str] = ()) -> Table:
    """An empty table: words are aligned to the left, figures between them to the right."""
    made = Table(box=None, pad_edge=False)
    for name in words:
        made.add_column(name)
    for name in figures:
        made.add_column(name, no_wrap=True, justify="right")
    for name in more_words:
        made.add_column(name)
    return made


def show(made: Table) -> None:
    console().print(made)


def share(figure: "Figure") -> str:
    """In percent with its 95% interval; a dash where there is none."""
    if figure.value is None:
        return "-"
    bounds = figure.bounds
    interval = f" ({100 * bounds.low:.0f}-{100 * bounds.high:.0f})" if bounds else ""
    return f"{100 * figure.value:.1f}%{interval}"


def kappa(figure: "Figure") -> str:
    if figure.value is None:
        return "-"
    bounds = figure.bounds
    return f"{figure.value:.2f}" + (f" ({bounds.low:.2f} to {bounds.high:.2f})" if bounds else "")
