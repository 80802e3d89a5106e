"""One experiment of the paper over several seeds: a run a seed, and one table beside the paper's figures."""

import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from .. import paths, pipeline
from ..cache import CachedEncoder
from ..errors import NegRefineError
from ..hyperparameters import WORKERS
from ..image_sets import ImageSet
from ..judge import Judge
from ..labels import read_class_list
from ..methods import Method, measured
from ..metrics import AVERAGE, Convention, evaluate
from ..pipeline import Report, silent
from ..runs import Run, Settings, class_list_hash
from .experiments import Experiment, times
from .folders import Found

METRICS = ("auroc", "fpr95", "aupr_in", "aupr_out")
BOOTSTRAP = 200  # resamples behind the intervals in a run's own metrics.json; the table's spread is over seeds


def chosen_methods(names: str) -> list[Method]:
    """Methods of a comma-separated list, whatever their case; all for an empty one.

    Raises NegRefineError for an unknown one.
    """
    known = {method.name.casefold(): method for method in measured()}
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name.casefold() not in known]
    if unknown:
        names_there = ", ".join(method.name for method in known.values())
        raise NegRefineError(f"no method {unknown[0]!r}; choose of {names_there}")
    return [known[name.casefold()] for name in wanted] or list(known.values())


def check_complete(sets: Sequence[Found]) -> list[str]:
    """What is not as published in the image sets, a line a set."""
    return [f"{found.dataset.title}: {'; '.join(found.problems)}" for found in sets if found.problems]


def start_seed(
    entry: Experiment, name: str, settings: Settings, labels: str, encoder: CachedEncoder, report: Report = silent
) -> Run:
    """The run `NAME-seedN` with its negatives mined, or as far as it is already."""
    run = Run.create(f"{name}-seed{settings.seed}", settings, read_class_list(labels).labels)
    run.update_info(experiment=entry.name, labels=labels)
    if not run.is_mined:
        with _timed(run, "mining"):
            pipeline.mine(run, encoder, report)
    return run


def finish_seed(
    run: Run,
    encoder: CachedEncoder,
    judge: Judge,
    image_sets: Sequence[ImageSet],
    report: Report = silent,
    workers: int = WORKERS,
) -> None:
    """Refine, score and evaluate what is not done yet; the first image set is the ID set."""
    if not run.is_refined or run.info.judge != judge.identity:
        with _timed(run, "judging"):
            pipeline.refine(run, encoder, judge, report)
    todo = [image_set for image_set in image_sets if not _is_scored(run, image_set)]
    for image_set in todo:
        with _timed(run, "scoring"):
            pipeline.score(run, encoder, [image_set], report, workers)
    for number, image_set in enumerate(image_sets):
        run.set_role(image_set.name, "OOD" if number else "ID")
    if todo or not run.path("metrics.json").exists():
        pipeline.evaluate(run, image_sets[0].name, [s.name for s in image_sets[1:]], BOOTSTRAP, report)


def _is_scored(run: Run, image_set: ImageSet) -> bool:
    """Whether the set has been scored whole with the run's final negatives."""
    if image_set.name not in run.scored_sets:
        return False
    record, current = run.scored_with(image_set.name), class_list_hash(n.label for n in run.negatives)
    if record is None or record.negatives != current:
        return False
    skipped = int((run.skipped["image_set"] == image_set.name).sum())
    return run.count_scored(image_set.name) + skipped == len(image_set)


@contextmanager
def _timed(run: Run, step: str) -> Iterator[None]:
    """Add a step's seconds to the run's own; a step that was cut short counts from its last start."""
    start = time.perf_counter()
    yield
    with run.locked():
        before = run.info.seconds
        run.update_info(seconds={**before, step: round(before.get(step, 0) + time.perf_counter() - start, 2)})


def results(
    entry: Experiment, runs: Sequence[Run], methods: Sequence[Method], convention: Convention = "id-positive"
) -> pd.DataFrame:
    """A row for each method that all runs have and OOD set, and their `average` over `entry.ood`, in percent: the mean
    and the standard deviation over seeds of each metric, and the paper's figures where they are known."""
    rows = []
    for run in runs:
        tables = {name: run.scores(name) for name in entry.image_sets}
        there = {m.column: m.name for m in methods if all(m.column in table for table in tables.values())}
        parts = [table[[*there]].assign(image_set=n, is_id=n == entry.id) for n, table in tables.items()]
        for row in evaluate(pd.concat(parts), [*there], convention):
            if row.ood_set != AVERAGE:  # over all sets: the paper averages over some
                figures = {metric: 100 * getattr(row, metric) for metric in METRICS}
                rows.append({"method": there[row.column], "ood_set": row.ood_set, "seed": run.settings.seed, **figures})
    each = pd.DataFrame(rows)
    found_in = each["method"].value_counts()  # runs that were scored before a method was added lack it
    names = [m.name for m in methods if found_in.get(m.name, 0) == len(runs) * len(entry.image_sets[1:])]
    averages = each[each["ood_set"].isin(entry.ood)].groupby(["method", "seed"], as_index=False)[list(METRICS)].mean()
    each = pd.concat([each, averages.assign(ood_set=AVERAGE)])
    groups = each.groupby(["method", "ood_set"])[list(METRICS)]
    table = groups.mean().join(groups.std().add_suffix("_deviation"))
    table = table.reindex([(m, s) for s in [*entry.image_sets[1:], AVERAGE] for m in names]).reset_index()
    pairs = zip(table["method"], table["ood_set"], strict=True)
    reported = [entry.paper.get(method, {}).get(ood_set) for method, ood_set in pairs]
    table["paper_auroc"] = [figures and figures[0] for figures in reported]
    table["paper_fpr95"] = [figures and figures[1] if convention == "id-positive" else None for figures in reported]
    table.insert(0, "convention", convention)
    table.insert(1, "seeds", len(runs))
    return table


def markdown(entry: Experiment, runs: Sequence[Run], tables: Sequence[pd.DataFrame], notes: Sequence[str] = ()) -> str:
    """The results for people: what was run, a table a convention, the time, and what to know when reading them."""
    first = runs[0]
    classes = f"{len(first.id_labels):,} class names ({first.info.labels or 'its own'})"
    lines = [
        f"# {entry.title}",
        "",
        f"Model {first.info.model_name}, judge {first.info.judge}, {classes}, "
        f"{len(runs)} seed{'s' * (len(runs) > 1)}. In percent: mean ± standard deviation over seeds.",
    ]
    for table in tables:
        convention = table["convention"][0]
        positive = "ID" if convention == "id-positive" else "OOD"
        theirs = " (as pytorch-ood measures)" if convention == "pytorch-ood" else ""
        lines += [
            "",
            f"{positive} is the positive class{theirs}, higher score = more ID.",
            "",
            "| OOD set | method | AUROC | FPR@95 | paper: AUROC | paper: FPR@95 |",
            "|---|---|---|---|---|---|",
        ]
        for row in table.to_dict("records"):
            mark = "*" if row["ood_set"] in entry.contaminated else ""
            cells = [
                f"{row['ood_set']}{mark}",
                row["method"],
                _spread(row, "auroc"),
                _spread(row, "fpr95"),
                _number(row["paper_auroc"]),
                _number(row["paper_fpr95"]),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    lines += ["", times(entry, runs)]
    if entry.contaminated:
        lines += ["", f"\\* holds images of ID classes; the average is over {', '.join(entry.ood)}."]
    if entry.paper:
        lines += [
            "",
            "The paper's averages are over seeds, as reported second-hand; its single sets are seed 0's, "
            "from the published log.",
        ]
    lines += [line for note in notes for line in ("", f"Not as published: {note}")]
    return "\n".join(lines) + "\n"


def _spread(row: Mapping[Hashable, Any], metric: str) -> str:
    deviation = _number(row[f"{metric}_deviation"])
    return _number(row[metric]) + (f" ± {deviation}" if deviation else "")


def _number(value: float | None) -> str:
    return "" if pd.isna(value) else f"{value:.2f}"


def write(name: str, tables: Sequence[pd.DataFrame], text: str, folder: Path | None = None) -> tuple[Path, Path]:
    """Write `NAME.csv` and `NAME.md`, below data/benchmarks by default."""
    folder = folder or paths.DATA / "benchmarks"
    csv, document = folder / f"{name}.csv", folder / f"{name}.md"
    paths.write_atomically(csv, pd.concat(list(tables)).to_csv(index=False, float_format="%.4f"))
    paths.write_atomically(document, text)
    return csv, document
