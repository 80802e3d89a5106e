"""Pictures on screen: decoded once and kept by the file's time and size."""

from negrefine_core.errors import NegRefineError
from negrefine_core.paths import file_state
from negrefine_core.pictures import locate
from negrefine_core.runs import Run
from negrefine_core.show.thumbnails import THUMBNAIL, data_uri, shrunk

from .cached import cached_by

LARGE = 1024
SMALL = 96


def thumbnail(run: Run, image_set: str, path: str) -> str | None:
    """A picture for a card as a data URI; None where it cannot be shown."""
    return _uri(run, image_set, path, THUMBNAIL)


def small(run: Run, image_set: str, path: str) -> str | None:
    """A picture for a map as a data URI; None where it cannot be shown."""
    return _uri(run, image_set, path, SMALL)


def _uri(run: Run, image_set: str, path: str, edge: int) -> str | None:
    try:
        return data_uri(_picture(run, image_set, path, edge))
    except NegRefineError:
        return None


def large(run: Run, image_set: str, path: str) -> bytes:
    """The picture at most LARGE pixels wide and high. Raises NegRefineError where it cannot be shown."""
    return _picture(run, image_set, path, LARGE)


def _state(run: Run, image_set: str, path: str, edge: int) -> tuple[object, ...]:
    file = locate(run, image_set, path)
    return str(file), file_state(file), edge


@cached_by(_state, max_entries=4000)
def _picture(run: Run, image_set: str, path: str, edge: int) -> bytes:
    return shrunk(str(locate(run, image_set, path)), edge)
