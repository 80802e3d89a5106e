"""The checks that a run's files carry: a short hash of their content, looked at whenever they are read."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

RESTORE = "put the file back from a backup, or make the run again under another name"  # what can be made by no step


def digest(content: str | bytes) -> str:
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def with_check(content: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object and its `check`, which does not depend on how the object is written."""
    return {**content, "check": _check(content)}


def without_check(content: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """(The object without its `check`, whether the two agree). One without a check is from before there were any."""
    rest = {key: value for key, value in content.items() if key != "check"}
    return rest, "check" not in content or content["check"] == _check(rest)


def _check(content: Mapping[str, Any]) -> str:
    return digest(json.dumps(content, sort_keys=True, ensure_ascii=False))
