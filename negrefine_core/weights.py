"""A model's weights on this machine: whether they are here, and how they come, with progress and after a stop.

Hugging Face's client throws away what came when it is stopped. Here the part stays beside the place where the file
belongs, and the whole file, its hash checked, goes to that place in the client's cache: open_clip finds it there.
"""

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import huggingface_hub
from filelock import FileLock
from huggingface_hub import constants
from huggingface_hub.errors import EntryNotFoundError
from huggingface_hub.file_download import HfFileMetadata, repo_folder_name

from . import models, paths
from .errors import NegRefineError
from .models import gigabytes

WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")  # in a repository, the better one first
SHAPES = "open_clip_config.json"  # in a repository, beside them
BLOCK = 1 << 18  # bytes that are read at once: progress comes as often
TIMEOUT = 30  # seconds without a byte


@dataclass(frozen=True)
class Source:
    """A repository of the hub, and the names that the weights' file may have there."""

    repository: str
    files: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """In the cache of Hugging Face's client."""
        return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=self.repository, repo_type="model")


def source(model: str, pretrained: str | None) -> Source | None:
    """Where the weights are downloaded from; None for what is a file or folder here, and for what nobody knows."""
    model, pretrained = models.of_open_clip(model, pretrained)
    if model.startswith("hf-hub:"):
        return Source(model.removeprefix("hf-hub:"), WEIGHTS)
    if model.startswith("local-dir:") or not pretrained:
        return None
    import open_clip  # here: it takes seconds to import

    place = (open_clip.get_pretrained_cfg(model, pretrained) or {}).get("hf_hub", "")
    repository, _, file = place.rpartition("/")
    if not repository:
        return None
    if not file:
        return Source(repository, WEIGHTS)
    safe = f"{file[:-4]}.safetensors"  # open_clip takes it first, too
    return Source(repository, (safe, file) if file.endswith((".bin", ".pth")) else (file,))


def found(model: str, pretrained: str | None) -> Path | None:
    """The downloaded file, if it is here."""
    where = source(model, pretrained)
    for file in where.files if where else ():
        path = huggingface_hub.try_to_load_from_cache(where.repository, file) if where else None
        if isinstance(path, str):
            return Path(path)
    return None


def shapes(model: str) -> str | None:
    """open_clip's name of the folder with a repository's shapes, if it is here; None for all that is no repository."""
    if not model.startswith("hf-hub:"):
        return None
    path = huggingface_hub.try_to_load_from_cache(model.removeprefix("hf-hub:"), SHAPES)
    return f"local-dir:{Path(path).parent}" if isinstance(path, str) else None


def is_here(model: str, pretrained: str | None) -> bool:
    """Whether nothing has to be downloaded."""
    return source(model, pretrained) is None or found(model, pretrained) is not None


def download(model: str, pretrained: str | None, progress: Callable[[int, int], None] | None = None) -> None:
    """Fetch the weights unless they are here; `progress` is told of bytes, and may raise to stop.

    Stopped in any way it goes on where it was when it is called again. Raises NegRefineError where the weights cannot
    be had, with what to do.
    """
    where = source(model, pretrained)
    if where is None or found(model, pretrained):
        return
    for file in where.files:
        try:
            _fetch(where, file, progress)
        except EntryNotFoundError:
            continue
        return
    raise NegRefineError(f"{where.repository} on {constants.ENDPOINT} holds no {' or '.join(where.files)}")


def _fetch(where: Source, file: str, progress: Callable[[int, int], None] | None) -> None:
    there = _described(where, file)
    blob = where.folder / "blobs" / str(there.etag)
    with paths.writing(blob):
        blob.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{blob}.part.lock"):
            if not blob.exists():
                part = Path(f"{blob}.part")
                _fill(part, where, there, progress)
                _check(part, str(there.etag))
                os.replace(part, blob)
    huggingface_hub.hf_hub_download(where.repository, file)  # it finds the content, and files it under its name


def _described(where: Source, file: str) -> HfFileMetadata:
    """What the hub says of a file. Raises EntryNotFoundError where the repository has none of this name."""
    try:
        there = huggingface_hub.get_hf_file_metadata(huggingface_hub.hf_hub_url(where.repository, file))
    except EntryNotFoundError:
        raise
    except Exception as error:  # the client raises many kinds: all mean that the hub does not answer
        raise _unreachable(where, error) from error
    if not there.size or not re.fullmatch(r"[\w-]+", str(there.etag)):
        raise _unreachable(where, "its answer names no size or hash")
    return there


def _unreachable(where: Source, reason: object) -> NegRefineError:
    said = (str(reason).strip() or type(reason).__name__).splitlines()[0]
    return NegRefineError(
        f"the model {where.repository} is not on this computer, and {constants.ENDPOINT} cannot be reached ({said}). "
        "Connect this computer to the network and try again (HF_ENDPOINT names a mirror); or download the model on "
        f"another one and copy its folder here, to {where.folder}; or use the bundled model 'demo'"
    )


def _fill(part: Path, where: Source, there: HfFileMetadata, progress: Callable[[int, int], None] | None) -> None:
    """Add to the part what is missing."""
    size = there.size or 0
    done = part.stat().st_size if part.exists() else 0
    if done == size:
        return
    with part.open("ab") as file, _opened(where, there, done) as answer:
        if answer.status != 206:  # the whole file comes
            file.truncate(done := 0)
        while block := _read(answer, where, done, size):
            file.write(block)
            done += len(block)
            if progress:
                progress(done, size)
    if done != size:
        raise _stopped(where, done, size, "the connection was closed")


def _opened(where: Source, there: HfFileMetadata, done: int) -> HTTPResponse:
    own = urlsplit(there.location).netloc == urlsplit(constants.ENDPOINT).netloc
    token = huggingface_hub.get_token() if own else None  # it is for the hub alone, and not for who keeps its files
    headers = {"Range": f"bytes={done}-"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = Request(there.location, headers=headers)  # noqa: S310 - what the hub says
    try:
        answer: HTTPResponse = urlopen(request, timeout=TIMEOUT)  # noqa: S310
    except (OSError, HTTPException, ValueError) as error:
        raise _stopped(where, done, there.size or 0, error) from error
    return answer


def _read(answer: HTTPResponse, where: Source, done: int, size: int) -> bytes:
    try:
        return answer.read(BLOCK)
    except (OSError, HTTPException) as error:
        raise _stopped(where, done, size, error) from error


def _stopped(where: Source, done: int, size: int, reason: object) -> NegRefineError:
    return NegRefineError(
        f"the download of {where.repository} stopped at {gigabytes(done)} of {gigabytes(size)} ({reason}); what came "
        "is kept: try again, and it goes on there"
    )


def _check(part: Path, etag: str) -> None:
    """Hold the file to its hash, which is its name on the hub: SHA-256, or git's own for small files."""
    if len(etag) == 64:
        digest = hashlib.sha256()
    elif len(etag) == 40:
        digest = hashlib.sha1(f"blob {part.stat().st_size}\0".encode(), usedforsecurity=False)
    else:
        return
    with part.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    if digest.hexdigest() != etag:
        part.unlink()
        raise NegRefineError("the downloaded weights are damaged, and were thrown away: download them again")
