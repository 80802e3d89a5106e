"""What speaks against a run's verdicts, in `doubts.json`: it may come with a run, and is worked out anew without it."""

import json
from dataclasses import dataclass
from pathlib import Path

from ..paths import write_atomically
from .checks import with_check, without_check

DOUBTS = "doubts.json"


@dataclass(frozen=True)
class Doubts:
    """`found` has (suspicion, why) by negative, where anything speaks against its verdict; `usual_file` is the
    lexicographer file that the ID classes share, or ""."""

    usual_file: str
    found: dict[str, tuple[float, str]]


def read_doubts(path: Path, made_from: str) -> Doubts | None:
    """None where there is no such file, it is not as it was written, or it was made from something else."""
    try:
        content, is_whole = without_check(json.loads(path.read_text(encoding="utf-8")))
        if not is_whole or content["made_from"] != made_from:
            return None
        return Doubts(content["usual_file"], {label: (score, why) for label, score, why in content["found"]})
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None


def write_doubts(path: Path, doubts: Doubts, made_from: str) -> None:
    found = [[label, score, why] for label, (score, why) in doubts.found.items()]
    content = with_check({"made_from": made_from, "usual_file": doubts.usual_file, "found": found})
    write_atomically(path, json.dumps(content, ensure_ascii=False) + "\n")
