"""`id_labels.txt`: the run's ID labels, one a line."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from ..errors import NegRefineError
from ..paths import write_atomically
from .checks import RESTORE


def class_list_hash(labels: Iterable[str]) -> str:
    return hashlib.blake2b("\n".join(labels).encode(), digest_size=6).hexdigest()


def read_id_labels(path: Path, known_hash: str = "") -> list[str]:
    """Raises NegRefineError where the file is damaged, or holds other labels than those of the hash."""
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, ValueError) as error:
        raise NegRefineError(f"{path} cannot be read ({error}); {RESTORE}") from error
    labels = text.removesuffix("\n").split("\n") if text else []
    if known_hash and class_list_hash(labels) != known_hash:
        raise NegRefineError(f"{path} does not hold the ID labels that the run was made with; {RESTORE}")
    return labels


def write_id_labels(path: Path, labels: Iterable[str]) -> None:
    write_atomically(path, "".join(f"{label}\n" for label in labels))
