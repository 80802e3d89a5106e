"""Tries faults in numbers: `python -m tests.faults` tries them all, `--most 5` a few of each kind."""

import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tests.faults.harness import KINDS, Group, tried
from tests.faults.outcome import BAD, VERDICTS, Outcome


def main(
    seed: Annotated[int, typer.Option(help="Draws what is drawn.")] = 0,
    most: Annotated[int | None, typer.Option(help="At most so many trials a step, file or pair. Default: all.")] = None,
    kinds: Annotated[str, typer.Option(help=f"Of {', '.join(KINDS)}; with commas between.")] = ",".join(KINDS),
    only: Annotated[str, typer.Option(help="Only steps, files and pairs with this text in their name.")] = "",
    processes: Annotated[int, typer.Option(help="Worked in at the same time.")] = os.cpu_count() or 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every outcome to this file too.")] = None,
) -> None:
    """Kill, fill the disk, damage, interleave and misbehave; then look whether anything is silently wrong."""
    start = time.monotonic()
    outcomes = tried(seed, most, kinds.split(","), only, processes, _show)
    _print(outcomes, time.monotonic() - start)
    if json_file:
        json_file.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1), encoding="utf-8")
    raise SystemExit(any(outcome.verdict in BAD for outcome in outcomes))


def _show(group: Group, found: Sequence[Outcome]) -> None:
    counts = Counter(outcome.verdict for outcome in found)
    Console(stderr=True).print(": ".join(group), dict(counts))


def _print(outcomes: Sequence[Outcome], seconds: float) -> None:
    console = Console()
    table = Table("kind", "step", "tried", *VERDICTS)
    for kind, step in sorted({(outcome.kind, outcome.step) for outcome in outcomes}):
        counts = Counter(o.verdict for o in outcomes if (o.kind, o.step) == (kind, step))
        table.add_row(kind, step, str(counts.total()), *(str(counts[verdict] or "") for verdict in VERDICTS))
    counts = Counter(outcome.verdict for outcome in outcomes)
    table.add_section()
    table.add_row("all", "", str(counts.total()), *(str(counts[verdict]) for verdict in VERDICTS))
    console.print(table)
    for outcome in outcomes:
        if outcome.verdict in BAD:
            said = outcome.said if outcome.verdict == "wrong" else outcome.said[-700:]
            console.print(f"{outcome.verdict}: {outcome.kind}, {outcome.step}, {outcome.fault}: {said}", markup=False)
    console.print(f"Tried {len(outcomes):,} faults in {seconds:.0f} s.")


if __name__ == "__main__":
    typer.run(main)
