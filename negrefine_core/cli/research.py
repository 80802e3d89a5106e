"""The commands for researchers: image sets, the paper's experiments, ablation, export, and speed."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from .. import paths
from ..errors import NegRefineError
from ..hyperparameters import FRACTION, IN_FLIGHT, SEEDS, WORKERS
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
    RateLimit,
    Workers,
    Yes,
    bars_of,
    confirm_questions,
    conventions,
    keeps,
    print_contaminated,
    print_notes,
    progress_bar,
    run_encoder,
)

commands = typer.Typer()

ROOT = paths.DATA / "datasets"
Root = Annotated[Path, typer.Option(help="The folder that holds the image sets.")]


@commands.command(epilog="Example: negrefine datasets /data/datasets")
def datasets(
    root: Annotated[Path, typer.Argument(help="The folder that holds the image sets.")] = ROOT,
    details: Annotated[bool, typer.Option("--details", help="Licence and what is known of each set.")] = False,
) -> None:
    """List the paper's image sets: what is found, whether it is whole, and where to get the rest."""
    from ..benchmarks.folders import Found, survey

    results = survey(root) if root.is_dir() else []
    if not results:
        raise NegRefineError(f"no folder {root}; give the one that holds the image sets, or make it")
    shown = tables.table(["Image set"], ["Images"], ["State"])
    for entry, result in results:
        if isinstance(result, Found):
            state = "; ".join(result.problems) or "as published"
            shown.add_row(entry.name, f"{len(result.images):,}", f"{state}, in {result.images.root}")
        else:
            shown.add_row(entry.name, "-", str(result))
    tables.show(shown)
    for entry, _ in results if details else ():
        published = " or ".join(f"{count:,}" for count in entry.counts) or "not published"
        typer.echo(f"{entry.name}: {entry.title}; published: {published} images; licence: {entry.licence}.")
        typer.echo(f"  {entry.note} {entry.url}\n" if entry.note else f"  {entry.url}\n")
    found = sum(isinstance(result, Found) for _, result in results)
    typer.echo(f"{found} of {len(results)} image sets are under {root}.")


@commands.command(
    epilog="""Examples:

    negrefine benchmark --list

    negrefine benchmark imagenet --root /data/datasets --judge openai --judge-model qwen2.5
"""
)
@keeps("Seeds, and image sets of a seed, that are finished are kept, and so are answers and embedded pictures.")
def benchmark(
    name: Annotated[str, typer.Argument(help="The experiment; --list shows them.")] = "",
    show: Annotated[bool, typer.Option("--list", help="List the paper's experiments.")] = False,
    root: Root = ROOT,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0, 1, ...: a run each.")] = SEEDS,
    methods: Annotated[str, typer.Option(help="Methods of the table, with commas between. Default: all.")] = "",
    convention: ConventionName = "id",
    paper_labels: Annotated[
        bool, typer.Option("--paper-labels", help="Class names with the published lists' defects.")
    ] = False,
    partial: Annotated[bool, typer.Option("--partial", help="Go on where image sets are not as published.")] = False,
    run_name: Annotated[str, typer.Option("--name", help="Names the runs. Default: the experiment.")] = "",
    model: Model = "paper",
    pretrained: Pretrained = None,
    device: Device = "auto",
    fraction: Fraction = FRACTION,
    workers: Workers = WORKERS,
    judge: JudgeName = None,
    judge_model: JudgeModel = "",
    base_url: BaseUrl = "",
    in_flight: InFlight = IN_FLIGHT,
    rate_limit: RateLimit = None,
    prices: Prices = None,
    yes: Yes = False,
) -> None:
    """Run one experiment of the paper over several seeds, and set the figures beside the paper's.

    Stopped, the same command goes on. Each seed is a run that the app can open; image features are computed once.
    """
    from ..benchmarks.experiments import experiment

    if show or not name:
        _list_experiments()
        return
    from ..benchmarks import seeds as steps
    from ..benchmarks.folders import find
    from ..judges.choose import open_judge
    from ..labels import read_class_list
    from ..runs import checked_settings

    entry = experiment(name)
    chosen = steps.chosen_methods(methods)
    positives = conventions(convention)
    found = [find(image_set, root) for image_set in entry.image_sets]
    notes = steps.check_complete(found)
    print_notes(notes)
    if notes and not partial:
        raise NegRefineError(
            "the image sets are not as published, and the figures would not be the paper's; mend them, or go on with "
            "--partial"
        )
    labels = entry.paper_labels if paper_labels else entry.labels
    prefix = run_name or entry.name
    asked = open_judge(judge or "wordnet", "bundled", judge_model, base_url, in_flight, rate_limit)
    common = {
        "model": model,
        "pretrained": pretrained,
        "fraction": fraction,
        "judge": asked.identity,
        "sketch_templates": entry.sketch_templates,
    }
    settings = [checked_settings(common | {"seed": seed}) for seed in range(seeds)]
    encoder = run_encoder(settings[0], read_class_list(labels).labels, device)
    runs = []
    for number, of_seed in enumerate(settings, 1):
        report = bars_of(f"seed {number} of {seeds}")
        current = steps.start_seed(entry, prefix, of_seed, labels, encoder, report)
        confirm_questions(current, encoder, asked, rate_limit, prices, yes)
        steps.finish_seed(current, encoder, asked, [item.images for item in found], report, workers)
        runs.append(current)
    results = [steps.results(entry, runs, chosen, positive) for positive in positives]
    text = steps.markdown(entry, runs, results, notes)
    csv, document = steps.write(prefix, results, text)
    typer.echo(f"{text}\nWritten to {csv} and {document}.")


@commands.command(epilog="Example: negrefine ablation --name imagenet-seed0")
def ablation(
    name: Name,
    id_set: Annotated[str, typer.Option("--id", help="The scored image set that is ID. Default: the run's.")] = "",
    ood: Annotated[list[str] | None, typer.Option(help="A scored OOD image set. Default: the run's.")] = None,
    convention: ConventionName = "id",
    device: Device = "auto",
) -> None:
    """Score a run's images with each part of the method left out, and each setting changed, from its own features."""
    from ..benchmarks import ablation as steps
    from ..runs import Run
    from ..show import charts

    current = Run.open(name)
    inside = current.known_id_set(id_set)
    positives = conventions(convention)
    outside = current.known_ood_sets(inside, ood or ())
    encoder = run_encoder(current.settings, current.id_labels, device)
    variants, scores = steps.scores(current, encoder, [inside, *outside], progress_bar)
    table = steps.results(variants, scores, inside, positives, n_bootstrap=1000, report=progress_bar)
    folder = current.path("ablation")
    paths.write_atomically(folder / "ablation.csv", table.to_csv(index=False, float_format="%.4f"))
    charts.sweeps(table).write_html(folder / "sweeps.html", include_plotlyjs="directory")
    averages = table[table["ood_set"] == "average"].drop(columns="ood_set")
    typer.echo(f"In percent, averaged over {', '.join(outside)}, with 95% intervals:")
    shown = tables.table(("convention", "sweep", "value"), ("auroc", "fpr95"))
    for row in averages.to_dict("records"):
        figures = (f"{row[of]:.2f} ({row[f'{of}_low']:.1f}-{row[f'{of}_high']:.1f})" for of in ("auroc", "fpr95"))
        shown.add_row(str(row["convention"]), str(row["sweep"]), str(row["value"]), *figures)
    tables.show(shown)
    print_contaminated(outside)
    typer.echo(f"Written to {folder}: ablation.csv, and the charts in sweeps.html.")


@commands.command(epilog="Example: negrefine export --name pets pets.parquet")
def export(
    name: Name,
    file: Annotated[Path, typer.Argument(help="Where to: a .parquet or .csv file.")],
    id_sets: Annotated[list[str] | None, typer.Option("--id", help="A scored image set that is ID.")] = None,
    image_sets: Annotated[list[str] | None, typer.Option("--set", help="A scored set. Default: all.")] = None,
) -> None:
    """Write a run's scores as one table for other tools' metrics, with their sign stated beside it."""
    from ..benchmarks.export import SIGN, export_scores
    from ..runs import Run

    count = export_scores(Run.open(name), file, id_sets or [], image_sets or [])
    typer.echo(f"{count:,} images written to {file}; {SIGN}. What the columns mean: {file}.README.txt")


@commands.command(
    epilog="""Examples:

    negrefine models

    negrefine models paper

    negrefine models ViT-L-14 --pretrained datacomp_xl_s13b_b90k
"""
)
def models(
    name: Annotated[str, typer.Argument(help="Download this one; any of the list, or open_clip's name.")] = "",
    pretrained: Pretrained = None,
    device: Device = "auto",
) -> None:
    """List the models that have names: what each takes on this machine, and whether it is here. Or download one.

    A download that was stopped goes on where it was. The times are estimates.
    """
    from .. import weights
    from ..benchmarks.costs import costs, machine_rate
    from ..models import MODELS, gigabytes

    if name:
        costs(name, pretrained)  # a name that is none is said before anything is asked for
        if not weights.is_here(name, pretrained):
            with progress_bar(f"Downloading {name}") as progress:
                weights.download(name, pretrained, progress)
        typer.echo(f"{name} is here.")
        return
    rate = machine_rate(device)
    shown = tables.table(["Model"], ["Download", "Memory", "Images/s", "Mining, min"], ["Here", "What it is"])
    for model in MODELS:
        here = "bundled" if model.is_toy else "yes" if weights.is_here(model.name, None) else "no"
        took = model.costs
        shown.add_row(
            model.name,
            "-" if model.is_toy else gigabytes(took.download),
            gigabytes(took.memory),
            f"{took.images_per_second(rate):,.2g}",
            f"{took.mining_seconds(rate) / 60:,.0f}",
            here,
            f"{model.title}: {model.note}",
        )
    tables.show(shown)
    typer.echo(
        "Images/s and minutes of mining, once for each model, are estimates, and several times that beside other work: "
        f"by each model's arithmetic, at the {rate:,.0f} GFLOP/s that were measured here just now. Any other model of "
        "open_clip works, too."
    )


@commands.command(epilog="Example: negrefine bench --model ViT-B-16-quickgelu --pretrained random")
def bench(
    model: Model = "demo",
    pretrained: Pretrained = None,
    device: Device = "auto",
    images: Annotated[
        int | None,
        typer.Option(min=1, help="Pictures to score. Default: 64, 4,096 with --host, and 1,000,000 with --many."),
    ] = None,
    plain_images: Annotated[int, typer.Option(min=1, help="Pictures that the slow plain loop scores.")] = 3,
    host: Annotated[bool, typer.Option("--host", help="Measure what the host alone could feed a GPU.")] = False,
    many: Annotated[bool, typer.Option("--many", help="Measure what a million images take, without a model.")] = False,
    workers: Workers = WORKERS,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file too.")] = None,
) -> None:
    """Measure speed and memory on this machine, against a plain loop that does what the published code does.

    Random weights will do (`--pretrained random`): time does not depend on them. With --host the model costs nothing:
    what is left is what this machine could feed a graphics card, in images a second. With --many features are made up:
    what it takes to score a million images, to decide on a label and to explore them.
    """
    from rich.live import Live

    from ..benchmarks import speed, speed_host, speed_many

    if host and many:
        raise NegRefineError("--host and --many are two measurements; give one of them")
    measured: list[dict[str, object]] = []
    if host:
        shown = tables.table(["What"], ["Images", "Seconds", "Per second", "Per second and core"], ["Note"])
        with Live(shown, console=tables.console()):  # each row as soon as it is measured
            for stage in speed_host.measure(model, pretrained, images or 4096, workers):
                figures = (
                    f"{stage.images:,}",
                    f"{stage.seconds:.2f}",
                    f"{stage.rate:,.0f}",
                    f"{stage.rate_per_core:,.0f}",
                )
                shown.add_row(stage.name, *figures, stage.note)
                measured.append(asdict(stage) | {"rate": stage.rate, "rate_per_core": stage.rate_per_core})
    else:
        shown = tables.table(["What"], ["Count", "Seconds", "Per second", "x plain"], ["Note"])
        with Live(shown, console=tables.console()):
            count = images or 64
            rows = speed.measure(model, pretrained, device, count, min(count, plain_images))
            for row in speed_many.measure(images or speed_many.MANY) if many else rows:
                rate, ratio = f"{row.count / row.seconds:,.1f}", f"{row.ratio:.1f}" if row.ratio else ""
                shown.add_row(row.name, f"{row.count:,} {row.unit}", f"{row.seconds:.2f}", rate, ratio, row.note)
                measured.append(asdict(row) | {"ratio": row.ratio})
    if json_file:
        paths.write_atomically(json_file, json.dumps(measured, indent=1) + "\n")


def _list_experiments() -> None:
    from ..benchmarks.experiments import experiments

    shown = tables.table(["Experiment", "What it is", "ID images", "OOD images"], [])
    for entry in experiments():
        shown.add_row(entry.name, entry.title, entry.id, ", ".join(entry.image_sets[1:]))
    tables.show(shown)
