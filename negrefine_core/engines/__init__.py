"""Where images are embedded and scored: on this machine, or past it on Ray."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:  # torch takes seconds: who only names an engine needs none
    import pandas as pd

    from ..image_sets import ImageSet
    from ..progress import Progress
    from ..scorers import Recipe

EngineName = Literal["local", "ray"]


def is_ray_installed() -> bool:
    return find_spec("ray") is not None


@dataclass(frozen=True)
class Scored:
    """A piece of an image set: its readable pictures' rows, and the (path, reason) of the others."""

    table: "pd.DataFrame"
    skipped: tuple[tuple[str, str], ...]


class Engine(Protocol):
    """Embeds and scores an image set: the same scores wherever it does."""

    def score(self, image_set: "ImageSet", recipe: "Recipe", progress: "Progress | None" = None) -> "Iterator[Scored]":
        """The set piece by piece, in its order. What was embedded is kept, whenever it is stopped."""
        ...
