"""`metrics.json`: each method's metrics on each OOD set, with bootstrap intervals."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import NegRefineError
from ..paths import write_atomically


def read_metrics(path: Path) -> dict[str, Any]:
    """Raises NegRefineError where the run was not evaluated, or the file is damaged."""
    if not path.exists():
        raise NegRefineError(f"the run {path.parent.name!r} has no metrics yet; do the step 'evaluate' first")
    try:
        metrics: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NegRefineError(f"{path} is damaged ({error}); evaluate again") from error
    return metrics


def write_metrics(path: Path, metrics: Mapping[str, Any]) -> None:
    write_atomically(path, json.dumps(metrics, indent=1, ensure_ascii=False) + "\n")
