"""The command line's part for researchers: image sets, the paper's experiments, ablation and export."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .. import paths
from ..errors import NegRefineError
from .options import (
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

ROOT = paths.DATA / "datasets"
CONVENTIONS = {"id": ("id-positive",), "ood": ("ood-positive",), "both": ("id-positive", "ood-positive")}
Root = Annotated[Path, typer.Option(help="The folder that holds the image sets.")]
ConventionName = Annotated[
    str, typer.Option("--convention", help="Positive class of the metrics: id (the paper), ood (OpenOOD), or both.")
]


def add_commands(app: typer.Typer) -> None:
    app.command(epilog="Example: python -m negrefine_core datasets /data/datasets")(datasets)
    app.command(
        epilog="""Examples:

    python -m negrefine_core benchmark --list

    python -m negrefine_core benchmark imagenet --root /data/datasets --judge openai --judge-model qwen2.5
"""
    )(benchmark)
    app.command(epilog="Example: python -m negrefine_core ablation --name imagenet-seed0")(ablation)
    app.command(epilog="Example: python -m negrefine_core export --name pets pets.parquet")(export)


def datasets(
    root: Annotated[Path, typer.Argument(help="The folder that holds the image sets.")] = ROOT,
    details: Annotated[bool, typer.Option("--details", help="Licence and what is known of each set.")] = False,
) -> None:
    """List the paper's image sets: what is found, whether it is whole, and where to get the rest."""
    from ..benchmarks.folders import Found, survey

    results = survey(root) if root.is_dir() else []
    if not results:
        raise NegRefineError(f"no folder {root}; give the one that holds the image sets, or make it")
    for entry, result in results:
        published = " or ".join(f"{count:,}" for count in entry.counts) or "not published"
        if isinstance(result, Found):
            state = "as published" if not result.problems else "; ".join(result.problems)
            typer.echo(f"{entry.name:<24}{len(result.images):>8,} images in {result.images.root}: {state}")
        else:
            typer.echo(f"{entry.name:<24}{'-':>8}        {result}")
        if details:
            typer.echo(f"{'':<34}{entry.title}; published: {published} images; licence: {entry.licence}. {entry.note}\n"
                       f"{'':<34}{entry.url}")  # fmt: skip
    found = sum(isinstance(result, Found) for _, result in results)
    typer.echo(f"\n{found} of {len(results)} image sets are under {root}.")


def benchmark(
    name: Annotated[str, typer.Argument(help="The experiment; --list shows them.")] = "",
    show: Annotated[bool, typer.Option("--list", help="List the paper's experiments.")] = False,
    root: Root = ROOT,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0, 1, ...; the paper: 10. A run each.")] = 10,
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
    fraction: Annotated[float, typer.Option(help="Mined share of the nouns and of the adjectives.")] = 0.15,
    workers: Workers = 4,
    judge: JudgeName = None,
    judge_model: JudgeModel = "",
    base_url: BaseUrl = "",
    in_flight: InFlight = 64,
    rate_limit: RateLimit = None,
    prices: Prices = None,
    yes: Yes = False,
) -> None:
    """Run one experiment of the paper over several seeds, and set the figures beside the paper's.

    Stopped, the same command goes on. Each seed is a run that the app can open; image features are computed once.
    """
    from ..benchmarks.experiments import experiment, experiments

    if show or not name:
        for entry in experiments():
            typer.echo(f"{entry.name:<18}{entry.title}: {entry.id} against {', '.join(entry.image_sets[1:])}")
        return
    from ..benchmarks import seeds as steps
    from ..benchmarks.folders import find
    from ..judges.choose import open_judge
    from ..labels import read_class_list
    from ..runs import checked_settings

    entry, chosen = experiment(name), steps.chosen_methods(methods)
    positives = _conventions(convention)
    found = [find(image_set, root) for image_set in entry.image_sets]
    notes = steps.check_complete(found)
    print_notes(notes)
    if notes and not partial:
        raise NegRefineError("the image sets are not as published, and the figures would not be the paper's; mend "
                             "them, or go on with --partial")  # fmt: skip
    labels, prefix = entry.paper_labels if paper_labels else entry.labels, run_name or entry.name
    asked = open_judge(judge or "wordnet", "bundled", judge_model, base_url, in_flight, rate_limit)
    common = {"model": model, "pretrained": pretrained, "fraction": fraction, "judge": asked.identity,
              "sketch_templates": entry.sketch_templates}  # fmt: skip
    settings = [checked_settings(common | {"seed": seed}) for seed in range(seeds)]
    encoder, runs = run_encoder(settings[0], read_class_list(labels).labels, device), []
    for number in range(seeds):
        current = steps.start_seed(entry, prefix, settings[number], labels, encoder, progress_bar)
        confirm_questions(current, encoder, asked, rate_limit, prices, yes)
        steps.finish_seed(current, encoder, asked, [item.images for item in found], progress_bar, workers)
        runs.append(current)
    tables = [steps.results(entry, runs, chosen, positive) for positive in positives]
    text = steps.markdown(entry, runs, tables, notes)
    csv, document = steps.write(prefix, tables, text)
    typer.echo(f"{text}\nWritten to {csv} and {document}.")


def ablation(
    name: Name,
    id_set: Annotated[str, typer.Option("--id", help="The scored image set that is ID. Default: the run's.")] = "",
    ood: Annotated[list[str] | None, typer.Option(help="A scored OOD image set. Default: all others.")] = None,
    convention: ConventionName = "id",
    device: Device = "auto",
) -> None:
    """Score a run's images with each part of the method left out, and each setting changed, from its own features."""
    from ..benchmarks import ablation as steps
    from ..show import charts

    current = open_run(name)
    inside = id_set or current.id_set or ""
    positives = _conventions(convention)
    outside = ood or [image_set for image_set in current.scored_sets if image_set != inside]
    encoder = run_encoder(current.settings, current.id_labels, device)
    variants, scores = steps.scores(current, encoder, [inside, *outside], progress_bar)
    table = steps.results(variants, scores, inside, positives)
    folder = current.path("ablation")
    paths.write_atomically(folder / "ablation.csv", table.to_csv(index=False, float_format="%.4f"))
    charts.sweeps(table).write_html(folder / "sweeps.html", include_plotlyjs="directory")
    averages = table[table["ood_set"] == "average"].drop(columns="ood_set")
    typer.echo(f"In percent, averaged over {', '.join(outside)}:\n"
               + averages.to_string(index=False, float_format="{:.2f}".format))  # fmt: skip
    typer.echo(f"Written to {folder}: ablation.csv, and the charts in sweeps.html.")


def export(
    name: Name,
    file: Annotated[Path, typer.Argument(help="Where to: a .parquet or .csv file.")],
    id_sets: Annotated[list[str] | None, typer.Option("--id", help="A scored image set that is ID.")] = None,
    image_sets: Annotated[list[str] | None, typer.Option("--set", help="A scored set. Default: all.")] = None,
) -> None:
    """Write a run's scores as one table for other tools' metrics, with their sign stated beside it."""
    from ..benchmarks.export import SIGN, export_scores

    count = export_scores(open_run(name), file, id_sets or [], image_sets or [])
    typer.echo(f"{count:,} images written to {file}; {SIGN}. What the columns mean: {file}.README.txt")


def _conventions(name: str) -> Any:
    if name not in CONVENTIONS:
        raise NegRefineError(f"--convention takes {', '.join(CONVENTIONS)}, not {name!r}")
    return CONVENTIONS[name]
