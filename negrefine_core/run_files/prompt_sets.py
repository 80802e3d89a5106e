"""`prompts.json`: the prompt sets that a run was asked in besides those that come with the program."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ..errors import NegRefineError
from ..paths import file_state, write_atomically
from ..prompts import PromptSet
from .checks import with_check, without_check
from .info import first_fault

FILE = "prompts.json"
_SET, _SETS = TypeAdapter(PromptSet), TypeAdapter(tuple[PromptSet, ...])


def read_prompt_sets(path: Path) -> tuple[PromptSet, ...]:
    """In the order in which they were kept; of several of one name the last counts.

    Raises NegRefineError naming the file and what is wrong in it.
    """
    return _parsed(path, file_state(path)) if path.exists() else ()


def write_prompt_sets(path: Path, sets: Iterable[PromptSet]) -> None:
    content = with_check({"sets": [json.loads(json.dumps(asdict(prompts))) for prompts in sets]})
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_prompt_set(file: Path) -> PromptSet:
    """A prompt set that a person wrote. Raises NegRefineError naming the file and what is wrong in it."""
    try:
        return _SET.validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        reason = first_fault(error) if isinstance(error, ValidationError) else error.strerror
        raise NegRefineError(
            f"{file} is no prompt set ({reason}); it is a JSON object with name, system, proper_noun and subcategory, "
            "such as negrefine prompts --show paper prints"
        ) from error
    except NegRefineError as error:
        raise NegRefineError(f"{file}: {error}") from error


def prompt_set_text(prompts: PromptSet) -> str:
    """A prompt set as a person can write it."""
    return json.dumps(asdict(prompts), indent=1, ensure_ascii=False)


@lru_cache(maxsize=8)
def _parsed(path: Path, state: tuple[int, int, int]) -> tuple[PromptSet, ...]:
    del state
    advice = (
        "put the file back from a backup; without it the verdicts stay, and questions are asked in the paper's words"
    )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content, is_whole = without_check(content) if isinstance(content, dict) else ({}, False)
        if not is_whole:
            raise NegRefineError("it is not as it was written")
        return _SETS.validate_python(content.get("sets"))
    except ValidationError as error:
        raise NegRefineError(f"{path}: {first_fault(error)}; {advice}") from error
    except NegRefineError as error:
        raise NegRefineError(f"{path}: {error}; {advice}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise NegRefineError(f"{path} cannot be read ({error}); {advice}") from error
