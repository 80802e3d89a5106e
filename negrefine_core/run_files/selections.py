"""`selections/NAME.json`: the images that a person chose and named, with a check; unnamed ones lie in the cache."""

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from ..errors import NegRefineError
from ..paths import file_state, write_atomically
from .checks import with_check, without_check
from .info import first_fault


@dataclass(frozen=True)
class Selection:
    """`images` are the paths by image set, or `labels` what is selected; `time` is UTC."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    images: Mapping[str, tuple[str, ...]]
    labels: tuple[str, ...] = ()
    time: str = ""


_SELECTION = TypeAdapter(Selection)


def read_selection(path: Path) -> Selection:
    """Raises NegRefineError for a file that is damaged or another's."""
    return _parsed(path, file_state(path))


def write_selection(path: Path, selection: Selection) -> None:
    content = with_check(json.loads(_SELECTION.dump_json(selection)))
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


@lru_cache(maxsize=16)
def _parsed(path: Path, state: tuple[int, int, int]) -> Selection:
    del state
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content, is_whole = without_check(content) if isinstance(content, dict) and "check" in content else ({}, False)
        if not is_whole or content.get("name") != path.stem:
            raise NegRefineError("it is not as it was written")
        return _SELECTION.validate_python(content)
    except (OSError, ValueError, RecursionError, NegRefineError) as error:
        reason = first_fault(error) if isinstance(error, ValidationError) else str(error)
        raise NegRefineError(
            f"the selection {path} cannot be read ({reason}); put the file back from a backup, or delete it and choose "
            "the images again"
        ) from error
