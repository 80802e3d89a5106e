"""Where pictures lie: a folder of this machine, or of a storage that fsspec reads (s3://, gs:// and others).

Rights to a storage come from the environment, as its own tools take them, and are written nowhere.
"""

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from . import paths
from .errors import NegRefineError

if TYPE_CHECKING:
    from upath import UPath

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)
_REFUSED = ("file", "local", "http", "https", "ftp")  # a folder's path says it better; the web is no folder
_FETCHED = paths.CACHE / "pictures"


class StorageError(NegRefineError):
    """A storage that does not answer: no word on a single picture."""


def is_url(place: str) -> bool:
    return bool(_URL.match(place))


def folder_of(place: str) -> "Path | UPath":
    """The folder of a path or a URL. Raises NegRefineError for a URL that cannot be used."""
    url = _URL.match(place)
    if not url:
        return Path(place)
    protocol, rest = url.groups()
    if protocol in _REFUSED:
        raise NegRefineError(
            f"pictures are not read from {protocol}://; give a folder, or one of a storage: s3://, gs://"
        )
    if set("@?#") & set(rest):  # not shown again: it may hold a key
        raise NegRefineError(f"a {protocol}:// URL takes no key and no question mark; keys come from the environment")
    try:
        from upath import UPath

        found = UPath(place.rstrip("/"))
        _ = found.fs
    except ImportError as error:
        raise NegRefineError(
            f"{protocol}:// needs another package: pip install 'negrefine-explorer[storage]', and the storage's own "
            f"({error})"
        ) from error
    except ValueError as error:
        raise NegRefineError(f"{protocol}:// is no storage that fsspec knows ({error})") from error
    return cast("UPath", found)


def listed(root: "UPath") -> list[str]:
    """The paths of all files below a storage's folder, relative to it. Raises NegRefineError."""
    with _answering(str(root)):
        start = root.path.rstrip("/")
        return [found.removeprefix(f"{start}/") for found in root.fs.find(start)]


@contextmanager
def opened(path: "Path | UPath") -> Iterator[io.BufferedIOBase]:
    """A file to read. Raises OSError for that file, and StorageError where its storage does not answer."""
    if isinstance(path, Path):
        with path.open("rb") as file:
            yield file
        return
    with _answering(str(path)), path.open("rb") as stored:
        yield cast("io.BufferedIOBase", stored)


def fetched(path: "UPath") -> Path:
    """A copy on this machine of a storage's file, to be looked at; it is fetched again when it has changed there."""
    with _answering(str(path)):
        state = str(path.fs.ukey(path.path))
    kept = _FETCHED / hashlib.blake2b(f"{path} {state}".encode(), digest_size=16).hexdigest()
    if not kept.is_file():
        with opened(path) as file:
            paths.write_atomically(kept, file.read())
    return kept


@contextmanager
def _answering(place: str) -> Iterator[None]:
    try:
        yield
    except (NegRefineError, FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # each storage's library raises kinds of its own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise StorageError(
            f"the storage of {place} cannot be read ({reason[:300]}); look at its address and your rights in the "
            "environment and do it again: what was embedded is kept"
        ) from error
