"""Tables on the terminal and in pipes: on a terminal long words wrap, in a pipe a row is a line; no figure is cut."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

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
