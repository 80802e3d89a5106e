"""The commands that do a run's steps: run, mine, refine, score, evaluate."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import paths
from ..engines import EngineName
from ..errors import NegRefineError
from ..hyperparameters import ALPHA, FRACTION, IN_FLIGHT, WORKERS
from . import tables
from .options import (
    BaseUrl,
    ConventionName,
    Device,
    Fraction,
    InFlight,
    JudgeModel,
    JudgeName,
    Model,
    Name,
    Pretrained,
    Prices,
    Prompts,
    RateLimit,
    WordNetFiles,
    Workers,
    Yes,
    confirm_questions,
    conventions,
    keeps,
    numbered_bars,
    print_beside_bar,
    print_contaminated,
    print_notes,
    progress_bar,
    run_encoder,
)

if TYPE_CHECKING:
    from upath import UPath

    from ..cache import CachedEncoder
    from ..labels import ClassList
    from ..negfilter import Filtered
    from ..run_files.metrics import Metrics
    from ..runs import Role, Run, Settings

commands = typer.Typer()

IdLabels = Annotated[
    str | None,
    typer.Option(
        help="ID classes: a text file with one a line, or a preset's name. Default: the class folders of the ID images."
    ),
]
IdImages = Annotated[
    str | None, typer.Option(help="Folder of ID images, or a storage's: s3://... Default: the bundled animals.")
]
OodImages = Annotated[
    list[str] | None,
    typer.Option("--ood", help="Folder of OOD images, or NAME=FOLDER; repeat for more. Default: the bundled sets."),
]
Seed = Annotated[int, typer.Option(help="Draws each adjective's phrase.")]
WordFilter = Annotated[
    bool | None,
    typer.Option(
        help="Leave offensive words out of the candidates. Default: only with the bundled model; off is the paper's."
    ),
]
Alpha = Annotated[float, typer.Option(help="Weight of the multi-matching score.")]

BUNDLED_ID = paths.IMAGES / "animals"


@commands.command(
    epilog="""Examples:

    negrefine run

    negrefine run --name pets --id-images photos/pets --ood photos/food --ood cars=photos/vehicles
"""
)
@keeps("What was embedded, answered and scored is kept.")
def run(
    name: Name = "demo",
    id_labels: IdLabels = None,
    id_images: IdImages = None,
    ood: OodImages = None,
    model: Model = "demo",
    pretrained: Pretrained = None,
    device: Device = "auto",
    fraction: Fraction = FRACTION,
    wordnet_files: WordNetFiles = None,
    seed: Seed = 0,
    word_filter: WordFilter = None,
    alpha: Alpha = ALPHA,
    workers: Workers = WORKERS,
    judge: JudgeName = None,
    judge_model: JudgeModel = "",
    base_url: BaseUrl = "",
    prompts: Prompts = "",
    in_flight: InFlight = IN_FLIGHT,
    rate_limit: RateLimit = None,
    prices: Prices = None,
    yes: Yes = False,
) -> None:
    """Do everything: mine, refine, score the ID and OOD images, and print the metrics."""
    from .. import pipeline
    from ..image_sets import open_image_set
    from ..judges.choose import open_judge
    from ..judges.prompt_book import PromptBook
    from ..negfilter import now_and_then
    from ..runs import checked_settings

    inside = open_image_set(id_images or BUNDLED_ID)
    outsides = [open_image_set(folder, set_name) for set_name, folder in _ood_folders(ood)]
    _check_names([image_set.name for image_set in (inside, *outsides)])
    classes = _classes(id_labels, inside.root)
    book = PromptBook(id_labels=classes.labels)
    asked = open_judge(judge or "wordnet", "bundled", judge_model, base_url, in_flight, rate_limit, prompts, book=book)
    settings = checked_settings(
        {
            "model": model,
            "pretrained": pretrained,
            "fraction": fraction,
            **_files(wordnet_files),
            "seed": seed,
            "word_filter": _filters_words(word_filter, model),
            "judge": asked.identity,
            "alpha": alpha,
            "id_images": paths.portable(inside.root),
            "ood_images": {image_set.name: paths.portable(image_set.root) for image_set in outsides},
        }
    )
    current, encoder = _create_run(name, settings, classes, device)
    sets = [inside, *outsides]
    report = numbered_bars(3 + len(sets))  # mine, refine, score each set, measure
    pipeline.mine(current, encoder, report)
    confirm_questions(current, encoder, asked, rate_limit, prices, yes)
    _print_filtered(pipeline.refine(current, encoder, asked, report, now_and_then(print_beside_bar)))
    pipeline.score(current, encoder, sets, report, workers)
    print_notes(pipeline.detector(current, encoder).notes)
    _print_skipped(current)
    outside_names = [image_set.name for image_set in outsides]
    _print_metrics(pipeline.evaluate(current, inside.name, outside_names, report=report))
    typer.echo(f"The run is in {current.folder}. Look at it: negrefine app")


@commands.command(epilog="Example: negrefine mine --name pets --id-labels pets.txt")
@keeps("The words that were embedded are kept.")
def mine(
    name: Name,
    id_labels: IdLabels = None,
    model: Model = "demo",
    pretrained: Pretrained = None,
    device: Device = "auto",
    fraction: Fraction = FRACTION,
    wordnet_files: WordNetFiles = None,
    seed: Seed = 0,
    word_filter: WordFilter = None,
    alpha: Alpha = ALPHA,
) -> None:
    """Start a run: mine the negative labels of ID classes."""
    from .. import pipeline
    from ..runs import checked_settings

    classes = _classes(id_labels, BUNDLED_ID)
    settings = checked_settings(
        {
            "model": model,
            "pretrained": pretrained,
            "fraction": fraction,
            **_files(wordnet_files),
            "seed": seed,
            "word_filter": _filters_words(word_filter, model),
            "alpha": alpha,
        }
    )
    current, encoder = _create_run(name, settings, classes, device)
    negatives = pipeline.mine(current, encoder, progress_bar)
    nouns = sum(negative.pos == "noun" for negative in negatives)
    adjectives = len(negatives) - nouns
    typer.echo(f"{nouns:,} nouns and {adjectives:,} adjectives mined: {current.path('initial_negatives.csv')}")


@commands.command(
    epilog="""Examples:

    negrefine refine --name pets

    negrefine refine --name pets --judge openai --judge-model qwen2.5 --base-url http://127.0.0.1:8000/v1
"""
)
@keeps("Every answer so far is in the run's verdicts.jsonl and is not asked for again.")
def refine(
    name: Name,
    device: Device = "auto",
    judge: JudgeName = None,
    judge_model: JudgeModel = "",
    base_url: BaseUrl = "",
    prompts: Prompts = "",
    in_flight: InFlight = IN_FLIGHT,
    rate_limit: RateLimit = None,
    prices: Prices = None,
    yes: Yes = False,
) -> None:
    """Filter a run's negatives (NegFilter); questions already answered are not asked again."""
    from .. import pipeline
    from ..judges.choose import open_judge
    from ..judges.prompt_book import PromptBook
    from ..negfilter import now_and_then
    from ..runs import Run

    current = Run.open(name)
    asked = open_judge(
        judge or current.judge,
        current.settings.wordnet,
        judge_model,
        base_url,
        in_flight,
        rate_limit,
        prompts,
        book=PromptBook.of(current),
    )
    encoder = run_encoder(current.settings, current.id_labels, device)
    confirm_questions(current, encoder, asked, rate_limit, prices, yes)
    _print_filtered(pipeline.refine(current, encoder, asked, progress_bar, now_and_then(print_beside_bar)))
    typer.echo(f"The final negatives: {current.path('negatives.csv')}")


@commands.command(epilog="Example: negrefine score --name pets photos/pets --role id")
@keeps("The pictures that were embedded are kept; the set's scores are written when all of it is scored.")
def score(
    name: Name,
    images: Annotated[
        str, typer.Argument(help="Folder of images, with or without class subfolders; or a storage's: s3://...")
    ],
    set_name: Annotated[str | None, typer.Option(help="The image set's name. Default: the folder's.")] = None,
    role: Annotated[
        str | None, typer.Option(help="What they show: id (the run's classes), ood (something else) or unknown.")
    ] = None,
    device: Device = "auto",
    workers: Workers = WORKERS,
    engine: Annotated[EngineName, typer.Option(help="Where the work is done: local (this machine) or ray.")] = "local",
    address: Annotated[
        str, typer.Option(help="A running Ray cluster, e.g. auto or HOST:6379. Default: one on this machine.")
    ] = "",
    actors: Annotated[
        int | None, typer.Option(min=1, help="Models that Ray runs at once. Default: one a GPU, else one a node.")
    ] = None,
) -> None:
    """Score a folder of images with a run's negatives."""
    from .. import pipeline
    from ..engines.choose import open_engine
    from ..image_sets import open_image_set
    from ..runs import Run

    shows = _role(role) if role is not None else None
    current = Run.open(name)
    image_set = open_image_set(images, set_name)
    encoder = run_encoder(current.settings, current.id_labels, device)
    where = open_engine(engine, current, encoder, workers, address, actors)
    (count,) = pipeline.score(current, encoder, [image_set], progress_bar, engine=where)
    if shows:
        current.set_role(image_set.name, shows)
    print_notes(pipeline.detector(current, encoder).notes)
    _print_skipped(current)
    typer.echo(f"{count:,} images scored: {current.path('scores') / image_set.name}.parquet")


@commands.command(epilog="Example: negrefine evaluate --name pets --id pets --ood other")
def evaluate(
    name: Name,
    id_set: Annotated[str, typer.Option("--id", help="The scored image set that is ID. Default: the run's.")] = "",
    ood: Annotated[list[str] | None, typer.Option(help="A scored image set that is OOD. Default: the run's.")] = None,
    convention: ConventionName = "id",
) -> None:
    """Compare a run's scored image sets: AUROC, FPR@95, AUPR-in, AUPR-out.

    The run's metrics.json is always the paper's: with ID as the positive class.
    """
    from .. import pipeline
    from ..runs import Run

    current = Run.open(name)
    wanted = conventions(convention)
    inside = current.known_id_set(id_set)
    outside = current.known_ood_sets(inside, ood or ())
    said: list[tuple[str, Role]] = [(image_set, "OOD") for image_set in ood or ()]
    said += [(id_set, "ID")] if id_set else []
    for image_set, shows in said:
        current.check_scored(image_set)
        current.set_role(image_set, shows)
    papers = pipeline.evaluate(current, inside, outside, report=progress_bar)
    for each in wanted:
        is_papers = each == "id-positive"
        _print_metrics(papers if is_papers else pipeline.measure(current, inside, outside, each, report=progress_bar))


def _role(text: str) -> "Role":
    roles: dict[str, Role] = {"id": "ID", "ood": "OOD", "unknown": "unknown"}
    if text.lower() not in roles:
        raise NegRefineError(f"--role takes {', '.join(roles)}, not {text!r}")
    return roles[text.lower()]


def _ood_folders(ood: list[str] | None) -> Iterator[tuple[str | None, str]]:
    """(name or None, folder) of each `--ood`, by default the bundled sets."""
    if not ood:
        folders = sorted(folder for folder in paths.IMAGES.iterdir() if folder.is_dir() and folder != BUNDLED_ID)
        yield from ((None, str(folder)) for folder in folders)
    for item in ood or ():
        name, equals, folder = item.partition("=")
        if equals and not Path(item).is_dir():  # a folder's own name may hold a "="
            yield name, folder
        else:
            yield None, item


def _check_names(names: list[str]) -> None:
    if len(set(names)) < len(names):
        raise NegRefineError(f"two image sets have the same name ({', '.join(names)}); name them: --ood NAME=FOLDER")
    if "average" in names:
        raise NegRefineError("an image set cannot be called 'average'; name it with --ood NAME=FOLDER")


def _classes(id_labels: str | None, class_folders: "Path | UPath") -> "ClassList":
    """The ID classes of a file or preset, or else of the class folders of the ID images."""
    from ..image_sets import open_image_set
    from ..labels import clean_class_list, read_class_list

    if id_labels:
        classes = read_class_list(id_labels)
    else:
        folders = sorted({name for name in open_image_set(class_folders).classes if name})
        if not folders:
            raise NegRefineError(f"{class_folders} has no class folders to name the ID classes; give --id-labels FILE")
        classes = clean_class_list(folders, str(class_folders))
    print_notes(classes.notes)
    return classes


def _files(wordnet_files: list[str] | None) -> dict[str, tuple[str, ...]]:
    """The settings that say which of WordNet's files are mined from; by default none, which is the paper's."""
    from ..lexicon import check_files

    if not wordnet_files:
        return {}
    check_files(wordnet_files)
    adjectives = tuple(file for file in wordnet_files if file.startswith("adj."))
    return {
        "noun_files": tuple(file for file in wordnet_files if file not in adjectives),
        "adjective_files": adjectives,
    }


def _filters_words(wanted: bool | None, model: str) -> bool:
    return model == "demo" if wanted is None else wanted


def _create_run(name: str, settings: "Settings", classes: "ClassList", device: str) -> tuple["Run", "CachedEncoder"]:
    """The model is loaded first, so that a wrong name leaves no run behind."""
    from ..runs import Run

    encoder = run_encoder(settings, classes.labels, device)
    return Run.create(name, settings, classes.labels), encoder


def _print_filtered(filtered: "Filtered") -> None:
    kinds = [verdict.kind for verdict in filtered.rejected]
    unclear = [verdict for verdict in filtered.verdicts if verdict.answer == "unclear"]
    if unclear:
        first = unclear[0]
        count = f"{len(unclear):,} of {len(filtered.verdicts):,} replies"
        print_notes(
            [f"{count} are neither yes nor no, and count as no; the first: {first.reply[:60]!r} on {first.negative!r}"]
        )
    malformed = sum(verdict.malformed for verdict in unclear)
    if malformed:
        print_notes([f"{malformed:,} of these were not said by the model; the next refine asks for them again"])
    typer.echo(
        f"{len(filtered.kept):,} negatives kept; rejected: {kinds.count('proper noun'):,} proper nouns, "
        f"{kinds.count('subcategory'):,} subcategories, {kinds.count('same'):,} equal to an ID"
    )


def _print_skipped(run: "Run") -> None:
    skipped = run.skipped
    if len(skipped):
        first = f"{skipped['path'][0]} ({skipped['reason'][0]})"
        where = run.path("skipped.csv")
        typer.echo(f"{len(skipped)} unreadable images skipped, listed in {where}; the first: {first}", err=True)


def _print_metrics(metrics: "Metrics") -> None:
    """A row a method on an OOD set, in percent."""
    id_set, images, methods = metrics["id_set"], metrics["images"], metrics["methods"]
    shown = tables.table(["OOD set", "Method"], ["AUROC (95% interval)", "FPR@95", "AUPR-in", "AUPR-out"])
    for ood in next(iter(methods.values())):
        count = f" ({images[ood]})" if ood in images else " of the OOD sets"
        for method, by_set in methods.items():
            row = by_set[ood]
            low, high = row["auroc_interval"]
            auroc = f"{100 * row['auroc']:.2f} ({100 * low:.1f}-{100 * high:.1f})"
            others = (f"{100 * value:.2f}" for value in (row["fpr95"], row["aupr_in"], row["aupr_out"]))
            shown.add_row(ood + count, method, auroc, *others)
    typer.echo(f"In percent; {metrics['convention']}. ID: {id_set} ({images[id_set]})")
    tables.show(shown)
    print_contaminated(image_set for image_set in images if image_set != id_set)
