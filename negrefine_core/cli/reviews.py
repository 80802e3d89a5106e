"""The command on blind reviews: reviews."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import tables
from .options import Name, Yes, print_notes

if TYPE_CHECKING:
    from ..runs import Run

commands = typer.Typer()


@commands.command(
    epilog="""Examples:

    negrefine reviews --name pets --who Ada --import ada.csv

    negrefine reviews --name pets

    negrefine reviews --name pets --merge

    negrefine override --name pets "common sage" --to kept --who Cy --reason "a herb"
"""
)
def reviews(
    name: Name,
    who: Annotated[str, typer.Option(help="Whose review a file or an undo is of. Default: your user name.")] = "",
    import_file: Annotated[
        Path | None,
        typer.Option("--import", help="Decide blind by a CSV file with negative, decision and perhaps reason."),
    ] = None,
    undo: Annotated[str, typer.Option(metavar="LABEL", help="Take your own decision on a label back.")] = "",
    merge: Annotated[bool, typer.Option("--merge", help="Write what people agree on into the run.")] = False,
    yes: Yes = False,
) -> None:
    """Review blind: each person's decisions are their own until they are merged. Shows who has decided, how far each
    two agree, and where they do not: `override` settles that."""
    from .. import reviews
    from ..runs import Run

    current = Run.open(name)
    who = who or getpass.getuser()
    if import_file:
        added, unknown = reviews.import_csv(current, import_file, who)
        if unknown:
            print_notes([f"{len(unknown):,} labels are no negatives of this run; the first: {unknown[0]!r}"])
        typer.echo(f"{len(added):,} decisions noted for {reviews.checked_name(who)}; the run stays as it is.")
    elif undo:
        taken = reviews.undo(current, who, undo)
        typer.echo(f"{len(taken):,} decisions of {reviews.checked_name(who)} taken back.")
    elif merge:
        count = len(reviews.agreed(current))
        if count and not yes:
            typer.confirm(f"Merge {count:,} agreed decisions into the run?", abort=True, err=True)
        merged = reviews.merge(current, count)
        typer.echo(
            f"{len(merged):,} decisions merged, {len(reviews.disagreements(current)):,} still to be settled; "
            f"{len(current.negatives):,} negatives kept. Score again to use them."
        )
    else:
        _show(current)


def _show(run: "Run") -> None:
    from .. import reviews

    people = reviews.by_person(run)
    if not people:
        typer.echo("Nobody has reviewed this run blind yet; --import takes a person's decisions from a CSV file.")
        return
    counts = tables.table(["Who"], ["Decided"])
    for person, own in people.items():
        counts.add_row(person, f"{len(own):,}")
    tables.show(counts)
    pairs = tables.table(["Two people"], ["Both", "Alike", "Agreement", "Kappa"])
    notes, agreements = [], reviews.agreements(run)
    for pair in agreements:
        pairs.add_row(
            f"{pair.first}, {pair.second}",
            f"{len(pair.labels):,}",
            f"{pair.alike:,}",
            tables.share(pair.share),
            tables.kappa(pair.kappa),
        )
        notes += [f"no kappa: {pair.kappa.why}"] if pair.kappa.why else []
    if agreements:
        tables.show(pairs)
    print_notes(notes)
    agreed, differ = len(reviews.agreed(run)), reviews.disagreements(run)
    typer.echo(f"{agreed:,} agreed labels to merge; {len(differ):,} to settle by `negrefine override`.")
    if differ:
        words = tables.table(["Label", "Who", "Decides", "Reason"], [])
        for label, said in differ.items():
            for entry in said:
                words.add_row(label, entry.who, entry.decision, entry.reason)
        tables.show(words)
