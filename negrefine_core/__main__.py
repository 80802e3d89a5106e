"""The command line: `python -m negrefine_core --help`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from . import paths
from .cli import research
from .cli.options import (
    BaseUrl,
    Device,
    InFlight,
    JudgeModel,
    JudgeName,
    Model,
    Name,
    Pretrained,
    Prices,
    RateLimit,
    Workers,
    Yes,
    confirm_questions,
    open_run,
    print_notes,
    progress_bar,
    run_encoder,
)
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
Fraction = Annotated[float, typer.Option(help="Mined share of the nouns and of the adjectives.")]
Seed = Annotated[int, typer.Option(help="Draws each adjective's phrase.")]
WordFilter = Annotated[
    bool | None,
    typer.Option(help="Leave offensive words out of the candidates. Default: only with the bundled model; "
                      "off is the paper's way."),
]  # fmt: skip
Alpha = Annotated[float, typer.Option(help="Weight of the multi-matching score.")]

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
    judge: JudgeName = None,
    judge_model: JudgeModel = "",
    base_url: BaseUrl = "",
    in_flight: InFlight = 64,
    rate_limit: RateLimit = None,
    prices: Prices = None,
    yes: Yes = False,
) -> None:
    """Do everything: mine, refine, score the ID and OOD images, and print the metrics."""
    from . import pipeline
    from .image_sets import open_image_set
    from .judges.choose import open_judge

    inside = open_image_set(id_images or BUNDLED_ID)
    outsides = [open_image_set(folder, set_name) for set_name, folder in _ood_folders(ood)]
    names = [inside.name, *(image_set.name for image_set in outsides)]
    if len(set(names)) < len(names):
        raise NegRefineError(f"two image sets have the same name ({', '.join(names)}); name them: --ood NAME=FOLDER")
    if "average" in names:
        raise NegRefineError("an image set cannot be called 'average'; name it with --ood NAME=FOLDER")
    asked = open_judge(judge or "wordnet", "bundled", judge_model, base_url, in_flight, rate_limit)
    current, encoder = _create_run(
        name, id_labels, inside.root, device, judge=asked.identity, model=model, pretrained=pretrained,
        fraction=fraction, seed=seed, word_filter=word_filter, alpha=alpha, id_images=paths.portable(inside.root),
        ood_images={image_set.name: paths.portable(image_set.root) for image_set in outsides},
    )  # fmt: skip
    pipeline.mine(current, encoder, progress_bar)
    confirm_questions(current, encoder, asked, rate_limit, prices, yes)
    _print_filtered(pipeline.refine(current, encoder, asked, progress_bar))
    pipeline.score(current, encoder, [inside, *outsides], progress_bar, workers)
    print_notes(pipeline.detector(current, encoder).notes)
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

    current, encoder = _create_run(
        name, id_labels, BUNDLED_ID, device, model=model, pretrained=pretrained, fraction=fraction, seed=seed,
        word_filter=word_filter, alpha=alpha,
    )  # fmt: skip
    negatives = pipeline.mine(current, encoder, progress_bar)
    nouns = sum(negative.pos == "noun" for negative in negatives)
    typer.echo(f"{nouns:,} nouns and {len(negatives) - nouns:,} adjectives mined: "
               f"{current.path('initial_negatives.csv')}")  # fmt: skip


@app.command(
    epilog="""Examples:

    python -m negrefine_core refine --name pets

    python -m negrefine_core refine --name pets --judge openai --judge-model qwen2.5 --base-url http://127.0.0.1:8000/v1
"""
)
def refine(
    name: Name,
    device: Device = "auto",
    judge: JudgeName = None,
    judge_model: JudgeModel = "",
    base_url: BaseUrl = "",
    in_flight: InFlight = 64,
    rate_limit: RateLimit = None,
    prices: Prices = None,
    yes: Yes = False,
) -> None:
    """Filter a run's negatives (NegFilter); questions already answered are not asked again."""
    from . import pipeline
    from .judges.choose import open_judge
    from .overrides import judge_of

    current = open_run(name)
    identity = judge or judge_of(current)
    asked = open_judge(identity, current.settings.wordnet, judge_model, base_url, in_flight, rate_limit)
    encoder = run_encoder(current.settings, current.id_labels, device)
    confirm_questions(current, encoder, asked, rate_limit, prices, yes)
    _print_filtered(pipeline.refine(current, encoder, asked, progress_bar))
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

    current = open_run(name)
    image_set = open_image_set(images, set_name)
    encoder = run_encoder(current.settings, current.id_labels, device)
    (count,) = pipeline.score(current, encoder, [image_set], progress_bar, workers)
    print_notes(pipeline.detector(current, encoder).notes)
    _print_skipped(current)
    typer.echo(f"{count:,} images scored: {current.path('scores') / image_set.name}.parquet")


@app.command(epilog="Example: python -m negrefine_core evaluate --name pets --id pets --ood other")
def evaluate(
    name: Name,
    id_set: Annotated[str, typer.Option("--id", help="The scored image set that is ID.")],
    ood: Annotated[list[str] | None, typer.Option(help="A scored image set that is OOD. Default: all others.")] = None,
) -> None:
    """Compare a run's scored image sets: AUROC, FPR@95, AUPR-in, AUPR-out."""
    from . import pipeline

    current = open_run(name)
    _print_metrics(pipeline.evaluate(current, id_set, ood or [s for s in current.scored_sets if s != id_set]))


@app.command(epilog="Example: python -m negrefine_core bench --model ViT-B-16-quickgelu --pretrained random")
def bench(
    model: Model = "demo",
    pretrained: Pretrained = None,
    device: Device = "auto",
    images: Annotated[int, typer.Option(min=1, help="Pictures to score.")] = 64,
    plain_images: Annotated[int, typer.Option(min=1, help="Pictures that the slow plain loop scores.")] = 3,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file too.")] = None,
) -> None:
    """Measure speed and memory on this machine, against a plain loop that does what the published code does.

    Random weights will do (`--pretrained random`): time does not depend on them.
    """
    from .benchmarks.speed import measure

    typer.echo(f"{'':<30}{'count':>18}{'seconds':>10}{'per second':>12}{'x plain':>9}")
    measured = []
    for row in measure(model, pretrained, device, images, min(images, plain_images)):
        ratio = f"{row.ratio:.1f}" if row.ratio else ""
        typer.echo(f"{row.name:<30}{f'{row.count:,} {row.unit}':>18}{row.seconds:>10.2f}"
                   f"{row.count / row.seconds:>12,.1f}{ratio:>9}  {row.note}")  # fmt: skip
        measured.append(asdict(row) | {"ratio": row.ratio})
    if json_file:
        paths.write_atomically(json_file, json.dumps(measured, indent=1) + "\n")


@app.command(epilog="Example: python -m negrefine_core import-reference negrefine/output/imagenet/seed_0 --name paper")
def import_reference(
    folder: Annotated[Path, typer.Argument(help="Folder with llm_process_*.txt, initial_neg_labels_*.txt and, if "
                                                "there, neg_labels_*.txt and result.txt.")],
    name: Annotated[str | None, typer.Option(help="The run's name. Default: the folder's.")] = None,
    id_labels: Annotated[str | None, typer.Option(help="ID classes: a text file. Default: ImageNet's.")] = None,
) -> None:  # fmt: skip
    """Make a run of what the paper's published code wrote: text files only, pickles are never opened."""
    from .labels import read_class_list
    from .overrides import rejections
    from .reference import import_reference

    current = import_reference(folder, name, read_class_list(id_labels).labels if id_labels else None)
    kinds = [verdict.kind for verdict in rejections(current).values()]
    parts = [negative.pos for negative in current.negatives]
    typer.echo(f"{parts.count('noun'):,} nouns and {parts.count('adjective'):,} adjectives kept; rejected: "
               f"{kinds.count('proper noun'):,} proper nouns, {kinds.count('subcategory'):,} subcategories. "
               f"The run is in {current.folder}")  # fmt: skip


@app.command(
    epilog="""Examples:

    python -m negrefine_core override --name pets "common sage" --to kept --reason "a herb, not a safe"

    python -m negrefine_core override --name pets --kind subcategory --id-label radio --to kept

    python -m negrefine_core override --name pets --undo 1
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
    import getpass

    from . import overrides

    current, who = open_run(name), who or getpass.getuser()
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
        chosen = list(labels or [])
        if kind or id_label or match:
            table = overrides.select(overrides.review_table(current), kind, id_label, match)
            chosen += list(table["label"])
            if not yes:
                typer.confirm(f"{len(chosen):,} negatives to {to}?", abort=True, err=True)
        added = overrides.override(current, chosen, to, who, reason)
    typer.echo(f"{len(added):,} overrides made; {len(current.negatives):,} negatives kept. Score again to use them.")


@app.command(epilog="Example: python -m negrefine_core judges --name pets wordnet")
def judges(
    name: Name,
    other: Annotated[str, typer.Argument(help="wordnet, or another run, whose judge answered the same questions.")],
    show: Annotated[int, typer.Option(min=0, help="How many doubtful rejections to print.")] = 10,
) -> None:
    """Compare a run's judge with another, and list the rejections that most deserve a second look."""
    from .judges.agreement import compare_judges, second_opinion, suspicions
    from .judges.wordnet import WordNetJudge
    from .lexicon import WordNet
    from .overrides import judge_of, rejections
    from .reference import logged_verdicts

    current = open_run(name)
    first = [verdict for verdict in current.verdicts if verdict.judge == judge_of(current)]
    with progress_bar("Asking WordNet") as progress:
        second = second_opinion(WordNetJudge(), first, None, progress) if other == "wordnet" else logged_verdicts(other)
    for kind in ("proper noun", "subcategory"):
        result = compare_judges((v for v in first if v.kind == kind), (v for v in second if v.kind == kind))
        kappa = "none" if result.kappa is None else f"{result.kappa:.3f}"
        typer.echo(f"\n{kind}: {result.questions:,} questions, agreement {result.agreement:.1%}, kappa {kappa}\n"
                   f"rows {judge_of(current)}, columns {other}:\n{result.confusion}")  # fmt: skip
    typer.echo("\nThe most doubtful rejections:")
    seconds = [second] if other != "wordnet" else []
    for suspicion in suspicions(rejections(current).values(), WordNet(), seconds, current.id_labels)[:show]:
        typer.echo(f"  {suspicion.score:.2f}  {suspicion.why}")


def _ood_folders(ood: list[str] | None) -> list[tuple[str | None, str]]:
    """(name or None, folder) of each `--ood`, by default the bundled sets."""
    if not ood:
        return [(None, str(folder)) for folder in sorted(paths.IMAGES.iterdir())
                if folder.is_dir() and folder != BUNDLED_ID]  # fmt: skip
    parts = [(item, "", "") if Path(item).is_dir() else item.partition("=") for item in ood]
    return [(before, after) if equals else (None, before) for before, equals, after in parts]


def _create_run(name: str, id_labels: str | None, class_folders: Path, device: str, **settings: Any) -> Any:
    """(run, encoder): the model is loaded first, so that a wrong name leaves no run behind."""
    from .image_sets import open_image_set
    from .labels import clean_class_list, read_class_list
    from .runs import Run, checked_settings

    if id_labels:
        classes = read_class_list(id_labels)
    else:
        folders = sorted({name for name in open_image_set(class_folders).classes if name})
        if not folders:
            raise NegRefineError(f"{class_folders} has no class folders to name the ID classes; give --id-labels FILE")
        classes = clean_class_list(folders, str(class_folders))
    print_notes(classes.notes)
    if settings["word_filter"] is None:
        settings["word_filter"] = settings["model"] == "demo"
    checked = checked_settings(settings)
    encoder = run_encoder(checked, classes.labels, device)
    return Run.create(name, checked, classes.labels), encoder


def _print_filtered(filtered: Any) -> None:
    kinds = [verdict.kind for verdict in filtered.rejected]
    unclear = [verdict for verdict in filtered.verdicts if verdict.answer == "unclear"]
    if unclear:
        print_notes([f"{len(unclear):,} of {len(filtered.verdicts):,} replies are neither yes nor no, and count as "
                      f"no; the first: {unclear[0].reply[:60]!r} on {unclear[0].negative!r}"])  # fmt: skip
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


research.add_commands(app)


def main() -> None:
    try:
        app()
    except NegRefineError as error:
        typer.secho(f"Error: {error}", err=True, fg=typer.colors.RED)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
