"""The command line: `python -m negrefine_core --help`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from . import paths
from .errors import NegRefineError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""Zero-shot out-of-distribution detection with CLIP (NegRefine, ICCV 2025).

Everything on the bundled model and pictures:

    python -m negrefine_core run

Your own classes and pictures, with the paper's model:

    python -m negrefine_core run --name pets --model paper --id-images photos/pets --ood photos/other

Step by step:

    python -m negrefine_core mine --name pets --id-labels pets.txt && python -m negrefine_core refine --name pets

    python -m negrefine_core score --name pets photos/pets && python -m negrefine_core score --name pets photos/other

    python -m negrefine_core evaluate --name pets --id pets --ood other
""",
)

Name = Annotated[str, typer.Option("--name", help="The run's name: its folder is data/runs/NAME.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
IdLabels = Annotated[
    str | None,
    typer.Option(help="ID classes: a text file with one a line, or a preset's name. Default: the class folders of the "
                      "ID images."),
]  # fmt: skip
IdImages = Annotated[Path | None, typer.Option(help="Folder of ID images. Default: the bundled animals.")]
OodImages = Annotated[
    list[str] | None,
    typer.Option("--ood", help="Folder of OOD images, or NAME=FOLDER; repeat for more. Default: the bundled sets."),
]
Model = Annotated[
    str, typer.Option(help="demo, paper, strong; or open_clip's name, hf-hub:ORG/NAME, local-dir:FOLDER.")
]
Pretrained = Annotated[str | None, typer.Option(help="Weights of an open_clip model: a tag or a checkpoint file.")]
Fraction = Annotated[float, typer.Option(help="Mined share of the nouns and of the adjectives.")]
Seed = Annotated[int, typer.Option(help="Draws each adjective's phrase.")]
WordFilter = Annotated[
    bool | None,
    typer.Option(help="Leave offensive words out of the candidates. Default: only with the bundled model; "
                      "off is the paper's way."),
]  # fmt: skip
Alpha = Annotated[float, typer.Option(help="Weight of the multi-matching score.")]
Workers = Annotated[int, typer.Option(min=1, help="Threads that read images.")]

BUNDLED_ID = paths.IMAGES / "animals"


@app.command(
    epilog="""Examples:

    python -m negrefine_core run

    python -m negrefine_core run --name pets --id-images photos/pets --ood photos/food --ood cars=photos/vehicles
"""
)
def run(
    name: Name = "demo",
    id_labels: IdLabels = None,
    id_images: IdImages = None,
    ood: OodImages = None,
    model: Model = "demo",
    pretrained: Pretrained = None,
    device: Device = "auto",
    fraction: Fraction = 0.15,
    seed: Seed = 0,
    word_filter: WordFilter = None,
    alpha: Alpha = 2.0,
    workers: Workers = 4,
) -> None:
    """Do everything: mine, refine, score the ID and OOD images, and print the metrics."""
    from . import pipeline
    from .image_sets import open_image_set

    inside = open_image_set(id_images or BUNDLED_ID)
    outsides = [open_image_set(folder, set_name) for set_name, folder in _ood_folders(ood)]
    names = [inside.name, *(image_set.name for image_set in outsides)]
    if len(set(names)) < len(names):
        raise NegRefineError(f"two image sets have the same name ({', '.join(names)}); name them: --ood NAME=FOLDER")
    current = _create_run(
        name, id_labels, inside.root, model=model, pretrained=pretrained, fraction=fraction, seed=seed,
        word_filter=word_filter, alpha=alpha, id_images=paths.portable(inside.root),
        ood_images={image_set.name: paths.portable(image_set.root) for image_set in outsides},
    )  # fmt: skip
    encoder = _encoder(current, device)
    pipeline.mine(current, encoder, _bar)
    _print_filtered(pipeline.refine(current, encoder, _judge(current), _bar))
    for image_set in (inside, *outsides):
        pipeline.score(current, encoder, image_set, _bar, workers)
    _print_notes(pipeline.detector(current, encoder).notes)
    _print_skipped(current)
    _print_metrics(pipeline.evaluate(current, inside.name, [image_set.name for image_set in outsides]))
    typer.echo(f"The run is in {current.folder}. Look at it: streamlit run app/main.py")


@app.command(epilog="Example: python -m negrefine_core mine --name pets --id-labels pets.txt")
def mine(
    name: Name,
    id_labels: IdLabels = None,
    model: Model = "demo",
    pretrained: Pretrained = None,
    device: Device = "auto",
    fraction: Fraction = 0.15,
    seed: Seed = 0,
    word_filter: WordFilter = None,
    alpha: Alpha = 2.0,
) -> None:
    """Start a run: mine the negative labels of ID classes."""
    from . import pipeline

    current = _create_run(name, id_labels, BUNDLED_ID, model=model, pretrained=pretrained, fraction=fraction,
                          seed=seed, word_filter=word_filter, alpha=alpha)  # fmt: skip
    negatives = pipeline.mine(current, _encoder(current, device), _bar)
    nouns = sum(negative.pos == "noun" for negative in negatives)
    typer.echo(f"{nouns:,} nouns and {len(negatives) - nouns:,} adjectives mined: "
               f"{current.path('initial_negatives.csv')}")  # fmt: skip


@app.command(epilog="Example: python -m negrefine_core refine --name pets")
def refine(name: Name, device: Device = "auto") -> None:
    """Filter a run's negatives (NegFilter); questions already answered are not asked again."""
    from . import pipeline

    current = _open_run(name)
    _print_filtered(pipeline.refine(current, _encoder(current, device), _judge(current), _bar))
    typer.echo(f"The final negatives: {current.path('negatives.csv')}")


@app.command(epilog="Example: python -m negrefine_core score --name pets photos/pets")
def score(
    name: Name,
    images: Annotated[Path, typer.Argument(help="Folder of images, with or without class subfolders.")],
    set_name: Annotated[str | None, typer.Option(help="The image set's name. Default: the folder's.")] = None,
    device: Device = "auto",
    workers: Workers = 4,
) -> None:
    """Score a folder of images with a run's negatives."""
    from . import pipeline
    from .image_sets import open_image_set

    current = _open_run(name)
    image_set = open_image_set(images, set_name)
    encoder = _encoder(current, device)
    scores = pipeline.score(current, encoder, image_set, _bar, workers)
    _print_notes(pipeline.detector(current, encoder).notes)
    _print_skipped(current)
    typer.echo(f"{len(scores):,} images scored: {current.path('scores') / image_set.name}.parquet")


@app.command(epilog="Example: python -m negrefine_core evaluate --name pets --id pets --ood other")
def evaluate(
    name: Name,
    id_set: Annotated[str, typer.Option("--id", help="The scored image set that is ID.")],
    ood: Annotated[list[str] | None, typer.Option(help="A scored image set that is OOD. Default: all others.")] = None,
) -> None:
    """Compare a run's scored image sets: AUROC, FPR@95, AUPR-in, AUPR-out."""
    from . import pipeline

    current = _open_run(name)
    _print_metrics(pipeline.evaluate(current, id_set, ood or [s for s in current.scored_sets if s != id_set]))


def _ood_folders(ood: list[str] | None) -> list[tuple[str | None, str]]:
    """(name or None, folder) of each `--ood`, by default the bundled sets."""
    if not ood:
        return [(None, str(folder)) for folder in sorted(paths.IMAGES.iterdir())
                if folder.is_dir() and folder != BUNDLED_ID]  # fmt: skip
    parts = [item.partition("=") for item in ood]
    return [(before, after) if equals else (None, before) for before, equals, after in parts]


def _create_run(name: str, id_labels: str | None, class_folders: Path, **settings: Any) -> Any:
    from .image_sets import open_image_set
    from .labels import clean_class_list, read_class_list
    from .runs import Run, Settings

    if id_labels:
        classes = read_class_list(id_labels)
    else:
        folders = sorted({name for name in open_image_set(class_folders).classes if name})
        if not folders:
            raise NegRefineError(f"{class_folders} has no class folders to name the ID classes; give --id-labels FILE")
        classes = clean_class_list(folders, str(class_folders))
    _print_notes(classes.notes)
    if settings["word_filter"] is None:
        settings["word_filter"] = settings["model"] == "demo"
    return Run.create(name, Settings(**settings), classes.labels)


def _open_run(name: str) -> Any:
    from .runs import Run

    return Run.open(name)


def _encoder(current: Any, device: str) -> Any:
    from .cache import CachedEncoder
    from .encoder import load_encoder

    encoder = load_encoder(current.settings.model, current.settings.pretrained, device)
    long = [label for label in current.id_labels if encoder.is_too_long(label)]
    if long:
        _print_notes([f"longer than the model's context, so its end is not read: {label!r}" for label in long])
    return CachedEncoder(encoder)


def _judge(current: Any) -> Any:
    from .judge import WordNetJudge

    return WordNetJudge(current.settings.wordnet)


@contextmanager
def _bar(description: str) -> Iterator[Any]:
    from tqdm import tqdm

    with tqdm(desc=f"{description:<28}", unit="", dynamic_ncols=True) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress


def _print_notes(notes: Any) -> None:
    for note in notes:
        typer.echo(f"Note: {note}", err=True)


def _print_filtered(filtered: Any) -> None:
    kinds = [verdict.kind for verdict in filtered.rejected]
    typer.echo(f"{len(filtered.kept):,} negatives kept; rejected: {kinds.count('proper noun'):,} proper nouns, "
               f"{kinds.count('subcategory'):,} subcategories, {kinds.count('same'):,} equal to an ID")  # fmt: skip


def _print_skipped(current: Any) -> None:
    skipped = current.skipped
    if len(skipped):
        typer.echo(f"{len(skipped)} unreadable images skipped, listed in {current.path('skipped.csv')}; the first: "
                   f"{skipped['path'][0]} ({skipped['reason'][0]})", err=True)  # fmt: skip


def _print_metrics(metrics: Any) -> None:
    typer.echo(metrics_table(metrics))


def metrics_table(metrics: Any) -> str:
    """The metrics as aligned text: a block an OOD set, a row a method, in percent."""
    lines = [f"In percent; {metrics['convention']}. ID: {metrics['id_set']} ({metrics['images'][metrics['id_set']]})"]
    for ood in next(iter(metrics["methods"].values())):
        count = f" ({metrics['images'][ood]})" if ood in metrics["images"] else " of the OOD sets"
        lines += ["", f"{ood + count:<28}{'AUROC (95% interval)':>22}{'FPR@95':>9}{'AUPR-in':>9}{'AUPR-out':>10}"]
        for method, rows in metrics["methods"].items():
            row = rows[ood]
            low, high = row["auroc_interval"]
            auroc = f"{100 * row['auroc']:.2f} ({100 * low:.1f}-{100 * high:.1f})"
            lines.append(f"  {method:<26}{auroc:>22}{100 * row['fpr95']:>9.2f}"
                         f"{100 * row['aupr_in']:>9.2f}{100 * row['aupr_out']:>10.2f}")  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    try:
        app()
    except NegRefineError as error:
        typer.secho(f"Error: {error}", err=True, fg=typer.colors.RED)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
