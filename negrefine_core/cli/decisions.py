"""The commands on who decided what: override, import-reference."""

import getpass
from pathlib import Path
from typing import Annotated

import typer

from .options import Name, Yes, print_notes

commands = typer.Typer()


@commands.command(
    epilog="""Examples:

    negrefine override --name pets "common sage" --to kept --reason "a herb, not a safe"

    negrefine override --name pets --kind subcategory --id-label radio --to kept

    negrefine override --name pets --undo 1
"""
)
def override(
    name: Name,
    labels: Annotated[list[str] | None, typer.Argument(help="Negatives to decide on.")] = None,
    to: Annotated[str, typer.Option(help="kept or dropped.")] = "",
    reason: Annotated[str, typer.Option(help="Why; kept with the override.")] = "",
    who: Annotated[str, typer.Option(help="Who decides. Default: your user name.")] = "",
    kind: Annotated[str, typer.Option(help="All of a kind: proper noun, subcategory, same, or kept.")] = "",
    id_label: Annotated[str, typer.Option(help="All that were rejected for this ID class.")] = "",
    match: Annotated[str, typer.Option(help="All whose label holds this text.")] = "",
    undo: Annotated[int, typer.Option(min=0, help="Undo the last so many overrides.")] = 0,
    export_file: Annotated[Path | None, typer.Option("--export", help="Write the overrides in force as CSV.")] = None,
    import_file: Annotated[Path | None, typer.Option("--import", help="Apply the overrides of a CSV file.")] = None,
    yes: Yes = False,
) -> None:
    """Decide otherwise than the judge: on labels, or on all that the filters choose. Nothing is ever overwritten."""
    from .. import overrides, reviews
    from ..runs import Run

    current = Run.open(name)
    who = who or getpass.getuser()
    if export_file:
        typer.echo(f"{overrides.export_csv(current, export_file):,} overrides written to {export_file}")
        return
    if import_file:
        added, unknown = overrides.import_csv(current, import_file, who)
        if unknown:
            print_notes([f"{len(unknown):,} labels are no negatives of this run; the first: {unknown[0]!r}"])
    elif undo:
        added = overrides.undo(current, who, undo)
    else:
        chosen, seen = list(labels or []), None
        if kind or id_label or match:
            log = current.overrides
            table = overrides.decided(overrides.verdict_table(current), log)
            seen = overrides.Seen.of(table, log)
            chosen += list(overrides.select(table, kind, id_label, match)["label"])
            if not yes:
                typer.confirm(f"{len(chosen):,} negatives to {to}?", abort=True, err=True)
        added = overrides.override(current, chosen, to, who, reason, seen)
        added += reviews.settle(current, chosen, to, who, reason)
    typer.echo(f"{len(added):,} overrides made; {len(current.negatives):,} negatives kept. Score again to use them.")


@commands.command(epilog="Example: negrefine import-reference negrefine/output/imagenet/seed_0 --name paper")
def import_reference(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Folder with llm_process_*.txt, initial_neg_labels_*.txt and, if there, neg_labels_*.txt and "
            "result.txt."
        ),
    ],
    name: Annotated[str | None, typer.Option(help="The run's name. Default: the folder's.")] = None,
    id_labels: Annotated[
        str | None, typer.Option(help="ID classes: a text file. Default: those of the ID set that result.txt names.")
    ] = None,
    judge_model: Annotated[
        str, typer.Option(help="The language model that answered, by which the app then calls the judge.")
    ] = "",
) -> None:
    """Make a run of what the paper's published code wrote: text files only, pickles are never opened."""
    from ..labels import read_class_list
    from ..reference import import_reference

    labels = read_class_list(id_labels).labels if id_labels else None
    current = import_reference(folder, name, labels, judge_model=judge_model)
    kinds = [verdict.kind for verdict in current.rejections.values()]
    parts = [negative.pos for negative in current.negatives]
    typer.echo(
        f"{parts.count('noun'):,} nouns and {parts.count('adjective'):,} adjectives kept; rejected: "
        f"{kinds.count('proper noun'):,} proper nouns, {kinds.count('subcategory'):,} subcategories. "
        f"The run is in {current.folder}"
    )
