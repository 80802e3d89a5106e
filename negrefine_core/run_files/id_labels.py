"""`id_labels.txt`: the run's ID labels, one a line."""

from collections.abc import Iterable
from pathlib import Path

from ..errors import NegRefineError
from ..paths import write_atomically


def read_id_labels(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise NegRefineError(f"{path} cannot be read ({error}); the run is damaged") from error


def write_id_labels(path: Path, labels: Iterable[str]) -> None:
    write_atomically(path, "".join(f"{label}\n" for label in labels))
