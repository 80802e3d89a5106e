"""The command on the words in which a language model is asked: prompts."""

from pathlib import Path
from typing import Annotated

import typer

from .options import Name

commands = typer.Typer()


@commands.command(
    epilog="""Examples:

    negrefine prompts --name pets

    negrefine prompts --name pets --show paper > mine.json

    negrefine prompts --name pets --add mine.json && negrefine refine --name pets --judge openai --prompts mine
"""
)
def prompts(
    name: Name,
    show: Annotated[str, typer.Option(help="Print this prompt set as JSON, to write one of your own after it.")] = "",
    add: Annotated[Path | None, typer.Option(help="Keep the prompt set of a JSON file in the run.")] = None,
) -> None:
    """List, show or add prompt sets: the words in which a language model is asked about a run's negatives."""
    from ..judges.prompt_book import PromptBook, keep
    from ..run_files.prompt_sets import prompt_set_text, read_prompt_set
    from ..runs import Run

    current = Run.open(name)
    if show:
        typer.echo(prompt_set_text(PromptBook.of(current).named(show)))
        return
    if add:
        added = read_prompt_set(add)
        keep(current, added)
        typer.echo(f"The run {current.name!r} can be asked in the prompt set {added.name!r}")
        return
    for known in PromptBook.of(current).latest:
        typer.echo(f"{known.name}: {known.subcategory}")
