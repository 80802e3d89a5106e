"""Uploaded pictures, zips and loose files alike, unpacked into one folder that nothing of them can leave."""

import contextlib
import re
import shutil
import stat
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from negrefine_core.errors import NegRefineError
from negrefine_core.image_sets import EXTENSIONS, check_image, check_name
from negrefine_core.paths import temporary_folder, writing

MAX_FILES = 5_000
MAX_BYTES = 2 * 1024**3  # unpacked
MAX_FILE_BYTES = 200 * 1024**2
MAX_RATIO = 200  # unpacked to packed, of a whole zip: pictures hardly shrink
RATIO_FROM = 50 * 1024**2  # unpacked bytes below which no ratio can harm
MAX_DIRECTORY = 4 * 1024**2  # bytes of a zip's table of contents, which is read as a whole
CHUNK = 1024**2
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)  # others may claim gigabytes of memory
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OSError)  # of a zip's files
ELSEWHERE = "Put larger sets into a folder on the server, and give its path."


@dataclass(frozen=True)
class Unpacked:
    """A folder of `pictures` files; `unreadable` are those among them that will be skipped, with the reason."""

    folder: Path
    pictures: int
    unreadable: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Member:
    """One file of an upload: where it goes, its size as stated, and how to read it."""

    path: PurePosixPath
    size: int
    opened: Callable[[], AbstractContextManager[IO[bytes]]]


def listed_classes(files: Sequence[tuple[str, IO[bytes]]]) -> list[str | None]:
    """Each picture's class folder, before anything is unpacked. Raises NegRefineError as `unpack` does."""
    with contextlib.ExitStack() as stack:
        members, _ = _pictures(_members(files, stack))
        return [_class_of(member) or None for member in members]


def unreadable(files: Sequence[tuple[str, IO[bytes]]]) -> list[tuple[str, str]]:
    """The pictures that would be skipped, with the reason, by their first bytes.

    Raises NegRefineError as `unpack` does, and where none would be left.
    """
    with contextlib.ExitStack() as stack:
        members, _ = _pictures(_members(files, stack))
        found = []
        for member in members:
            try:
                with member.opened() as content:
                    check_image(content)
            except NegRefineError as error:
                found.append((str(member.path), str(error)))
            except BROKEN as error:
                found.append((str(member.path), f"cannot be unpacked ({error})"))
        _check_some_readable(found, members)
    return found


def _check_some_readable(unreadable: Sequence[tuple[str, str]], members: Sequence[_Member]) -> None:
    if len(unreadable) == len(members):
        first, reason = unreadable[0]
        raise NegRefineError(
            f"no picture of the {len(members):,} in the upload can be read; the first, {first}: {reason}"
        )


def unpack(files: Sequence[tuple[str, IO[bytes]]], parent: Path, name: str, folders: Collection[str] = ()) -> Unpacked:
    """Lay uploaded (name, content) files into the new folder `parent/name`, whole or not at all, class folders kept.

    With `folders`, those of these class folders alone ("": of none).

    Raises NegRefineError, with nothing written, when the folder exists, a limit is exceeded, a name points out of the
    folder, a zip holds links, or there is no readable picture.
    """
    folder = parent / check_name(name)
    if folder.exists():
        raise NegRefineError(f"there are pictures under the name {name!r} already; choose another name")
    with writing(folder), contextlib.ExitStack() as stack:
        members, left_out = _pictures(_members(files, stack))
        if folders:
            members = _without_top([member for member in members if _class_of(member) in folders])
        parent.mkdir(parents=True, exist_ok=True)
        temporary = stack.enter_context(temporary_folder(parent))
        skipped = _write(members, temporary / "whole")
        _check_some_readable(skipped, members)
        (temporary / "whole").rename(folder)
    return Unpacked(folder, len(members), tuple(skipped), tuple(left_out))


def _members(files: Sequence[tuple[str, IO[bytes]]], stack: contextlib.ExitStack) -> list[_Member]:
    """Every file that was uploaded or lies in an uploaded zip. Raises NegRefineError beyond the limits."""
    members: list[_Member] = []
    for name, content in files:
        if name.lower().endswith(".zip"):
            members += _zip_members(name, stack.enter_context(_opened_zip(name, content)), _size(content))
        else:
            members.append(_Member(_safe_path(name, "the upload"), _size(content), partial(_rewound, content)))
    if len(members) > MAX_FILES:
        raise NegRefineError(f"the upload holds {len(members):,} files; the limit is {MAX_FILES:,}. {ELSEWHERE}")
    total = sum(member.size for member in members)
    if total > MAX_BYTES:
        raise NegRefineError(f"the upload holds {_mb(total)} unpacked; the limit is {_mb(MAX_BYTES)}. {ELSEWHERE}")
    return members


def _zip_members(name: str, archive: zipfile.ZipFile, packed: int) -> Iterator[_Member]:
    infos = [info for info in archive.infolist() if info.filename and not info.is_dir()]
    size = sum(info.file_size for info in infos)
    if size > RATIO_FROM and size > MAX_RATIO * packed:
        raise NegRefineError(
            f"{name} would grow from {_mb(packed)} to {_mb(size)} when unpacked; pictures do not: "
            "it may be a zip bomb, and was not unpacked"
        )
    for info in infos:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            what = "a link" if kind == stat.S_IFLNK else "something that is no file"
            raise NegRefineError(f"{name} holds {what}, {info.filename[:80]!r}; zip the pictures themselves")
        yield _Member(_safe_path(info.filename, name), info.file_size, partial(_zipped, archive, info))


@contextlib.contextmanager
def _zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
    if info.flag_bits & 1:
        raise NegRefineError("locked with a password")
    if info.compress_type not in PACKINGS:
        raise NegRefineError("packed in a way that is not supported; make an ordinary zip")
    with archive.open(info) as content:
        yield content


@contextlib.contextmanager
def _rewound(content: IO[bytes]) -> Iterator[IO[bytes]]:
    content.seek(0)
    yield content


def _opened_zip(name: str, content: IO[bytes]) -> zipfile.ZipFile:
    """The zip, its table of contents being of a sane size."""
    content.seek(0, 2)
    content.seek(max(0, content.tell() - 65_557))  # the end record, with the longest comment there can be
    end = content.read()
    at = end.rfind(b"PK\5\6")
    if at >= 0 and int.from_bytes(end[at + 12 : at + 16], "little") > MAX_DIRECTORY:
        raise NegRefineError(f"{name} holds too many files; the limit is {MAX_FILES:,}. {ELSEWHERE}")
    try:
        return zipfile.ZipFile(content)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise NegRefineError(f"{name} cannot be opened as a zip ({error}); make it again") from error


def _safe_path(name: str, source: str) -> PurePosixPath:
    """A member's name as a relative path. Raises NegRefineError when it points out of the folder it is unpacked in."""
    name = name.replace("\\", "/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in name.split("/"):
        raise NegRefineError(
            f"{source} holds a file that wants to lie outside its folder, {name[:80]!r}; nothing was unpacked"
        )
    return PurePosixPath(*(_safe_part(part) for part in name.split("/") if part.strip(". ") or part.startswith(".")))


def _safe_part(part: str) -> str:
    """A file's or folder's name without control characters, at most 120 characters, with its ending."""
    text = "".join("_" if unicodedata.category(c).startswith("C") else c for c in part).strip()
    stem, dot, ending = text.rpartition(".")
    return f"{stem[:100]}{dot}{ending[:10]}" if dot else text[:100]


def _pictures(members: list[_Member]) -> tuple[list[_Member], list[str]]:
    """The pictures, without the folder that all lie in if they have class folders below it, and notes on the rest."""
    seen = [member for member in members if not any(part.startswith((".", "__MACOSX")) for part in member.path.parts)]
    kept = [member for member in seen if member.path.suffix.lower() in EXTENSIONS]
    if not kept:
        raise NegRefineError(f"there are no pictures in the upload; expected {', '.join(EXTENSIONS)}")
    endings = Counter(member.path.suffix.lower() or "no ending" for member in seen)
    others = sorted(ending for ending in endings if ending not in EXTENSIONS)
    notes = []
    if others:
        count = sum(endings[ending] for ending in others)
        notes.append(f"Left out, since not pictures: {count:,} ({', '.join(others[:8])})")
    return list(_distinct(_without_top(kept))), notes


def _without_top(members: list[_Member]) -> list[_Member]:
    """Without the folder that all lie in, if they have class folders below it."""
    tops = {member.path.parts[0] for member in members}
    if len(tops) == 1 and all(len(member.path.parts) > 2 for member in members):
        return [replace(m, path=PurePosixPath(*m.path.parts[1:])) for m in members]
    return members


def _class_of(member: _Member) -> str:
    """The folder directly below the upload; "" for a picture that lies in none."""
    return member.path.parts[0] if len(member.path.parts) > 1 else ""


def _distinct(members: Sequence[_Member]) -> Iterator[_Member]:
    """The members with names that differ in more than their case: a second `A.png` is called `a (2).png`."""
    taken: set[str] = set()
    for member in members:
        path, number = member.path, 1
        while str(path).casefold() in taken:
            number += 1
            path = member.path.with_name(f"{member.path.stem} ({number}){member.path.suffix}")
        taken.add(str(path).casefold())
        yield replace(member, path=path)


def _write(members: Sequence[_Member], root: Path) -> list[tuple[str, str]]:
    """Write every member below `root`; returns those that are no readable pictures, with the reason."""
    needed = sum(member.size for member in members)
    if needed > shutil.disk_usage(root.parent).free:
        raise NegRefineError(f"the disk of {root.parent.parent} has no room for {_mb(needed)}; make some")
    skipped = []
    left = MAX_BYTES
    for member in members:
        file = root / member.path
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("xb") as out, member.opened() as content:
                left -= _copy(content, out, min(left, MAX_FILE_BYTES))
            check_image(file)
        except NegRefineError as error:
            skipped.append((str(member.path), str(error)))
        except BROKEN as error:
            skipped.append((str(member.path), f"cannot be unpacked ({error})"))
    return skipped


def _copy(content: IO[bytes], out: IO[bytes], limit: int) -> int:
    """Copy chunk by chunk, counting what really comes: a size that a zip states may be a lie."""
    copied = 0
    while chunk := content.read(CHUNK):
        copied += len(chunk)
        if copied > limit:
            out.truncate(0)
            raise NegRefineError(f"larger than {_mb(limit)}")
        out.write(chunk)
    return copied


def _size(content: IO[bytes]) -> int:
    return content.seek(0, 2)


def _mb(size: int) -> str:
    return f"{size / 1024**2:,.0f} MB"
