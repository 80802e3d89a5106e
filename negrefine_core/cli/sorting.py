"""The command that sorts pictures which nobody had sorted: sort."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import NegRefineError
from ..methods import DEFAULT
from .options import Name

if TYPE_CHECKING:
    import pandas as pd

    from ..runs import Run

commands = typer.Typer()


@commands.command(epilog="Example: negrefine sort holiday --name pets --to sorted --csv sorted.csv")
def sort(
    image_set: Annotated[str, typer.Argument(help="A scored image set.")],
    name: Name,
    score: Annotated[str, typer.Option(help="The score's column.")] = DEFAULT,
    threshold: Annotated[
        float | None, typer.Option(help="From here up a picture looks like one of your classes. Default: carried over.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the sorted list to this file.")] = None,
    to: Annotated[Path | None, typer.Option(help="Copy the pictures into this new folder, one folder a class.")] = None,
) -> None:
    """Sort a scored image set by class: what each picture looks like, or none of the classes."""
    from .. import marks, sorting
    from ..paths import write_atomically
    from ..runs import Run

    current = Run.open(name)
    scores = current.scores(image_set)
    if threshold is not None and not math.isfinite(threshold):
        raise NegRefineError(f"--threshold {threshold} is no threshold; give a number")
    if score not in scores or scores[score].dtype.kind != "f":
        raise NegRefineError(f"the image set {image_set!r} has no score {score!r}; choose a method's column")
    at = _carried_over(current, scores, score) if threshold is None else threshold
    table = sorting.sorted_table(scores, score, at, marks.marked(current, image_set))
    for label, count in table["predicted"].value_counts().items():
        typer.echo(f"{count:>7,}  {label or sorting.NONE}")
    if csv:
        write_atomically(csv.expanduser(), table.to_csv(index=False))
        typer.echo(f"The list: {csv}")
    if to:
        copied = sorting.copy_into_folders(current, image_set, table, to)
        typer.echo(f"{copied:,} pictures copied to {to}")


def _carried_over(run: "Run", scores: "pd.DataFrame", score: str) -> float:
    """The threshold nearest to 95% of the run's ID images; without any the median of the pictures themselves."""
    import pandas as pd

    from ..operating_point import keeping

    if run.id_set is None:
        at = float(scores[score].median())
        typer.echo(f"Threshold {at:.4f}: the median of these pictures, only a start, as the run has no ID set.")
        return at
    sets = (run.id_set, *run.ood_sets)
    known = pd.concat([run.scores(name).assign(is_id=name == run.id_set) for name in sets], ignore_index=True)
    kept = keeping(known, score)
    share = f"{kept.share:.1%} of the {kept.n_id:,} ID images of {run.id_set!r}"
    typer.echo(f"Threshold {kept.threshold:.4f}: it keeps {share}, the nearest to 95%.")
    return kept.threshold
