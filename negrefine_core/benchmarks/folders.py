"""Finds the paper's image sets below a folder, in any of their layouts, and says what does not look right."""

import difflib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .. import paths
from ..errors import NegRefineError
from ..image_sets import ImageSet, open_image_set
from .datasets import DATASETS, Dataset, dataset

FILES = {  # torchvision's name for its list of pictures
    "StanfordCars": "_samples",
    "Food101": "_image_files",
    "OxfordIIITPet": "_images",
    "DTD": "_image_files",
}


@dataclass(frozen=True)
class Found:
    """An image set below a root, and what is not as published: missing or extra class folders, another count."""

    dataset: Dataset
    images: ImageSet
    problems: tuple[str, ...]


def find(name: str, root: str | Path) -> Found:
    """The image set `name` below `root`.

    Raises NegRefineError when it is not there, or its folder is laid out in another way: the message names the folder
    that was expected and the one that was found.
    """
    entry, root = dataset(name), Path(root).expanduser().resolve()
    if not root.is_dir():
        raise NegRefineError(f"no folder {root}; give the one that holds the image sets")
    images = _by_torchvision(entry, root) or _by_folder(entry, root)
    if images is None and entry.part_of:
        images = _drawn(entry, root)
    if images is None:
        raise NegRefineError(_not_found(entry, root))
    return Found(entry, images, tuple(_problems(entry, images)))


def survey(root: str | Path) -> list[tuple[Dataset, Found | NegRefineError]]:
    """Every image set of the registry: found, or the reason why not."""
    results: list[tuple[Dataset, Found | NegRefineError]] = []
    for entry in DATASETS:
        try:
            results.append((entry, find(entry.name, root)))
        except NegRefineError as error:
            results.append((entry, error))
    return results


@lru_cache
def class_folders(name: str) -> tuple[str, ...]:
    """The class folders of `data/class_folders/NAME.txt`, in its order."""
    return tuple((paths.BUNDLED / "class_folders" / f"{name}.txt").read_text(encoding="utf-8").splitlines())


def _numbered(entry: Dataset) -> tuple[str, ...]:
    """The class folders in the other usual layout: the class's number, in the whole set if it is a part of one."""
    whole = class_folders(entry.part_of or entry.class_folders)
    return tuple(str(whole.index(name)) for name in class_folders(entry.class_folders))


def _by_torchvision(entry: Dataset, root: Path) -> ImageSet | None:
    """The pictures that torchvision's reader lists; None where its files are not there."""
    split = entry.split
    folder = _below(root, split.folder) if split else None
    if not split or folder is None or folder.name != split.folder:
        return None
    from torchvision import datasets as torchvision  # here: it takes a second to import

    try:
        readers = [getattr(torchvision, split.reader)(root, split=part) for part in split.splits]
    except (RuntimeError, OSError):  # its split files are not there: perhaps its pictures are, in folders
        return None
    listed = [item for reader in readers for item in getattr(reader, FILES[split.reader])]
    files = [Path(item[0] if isinstance(item, tuple) else item) for item in listed]
    return ImageSet(entry.name, folder, tuple(sorted(file.relative_to(folder).as_posix() for file in files)))


def _by_folder(entry: Dataset, root: Path) -> ImageSet | None:
    """The pictures of the first of the set's folders that is there."""
    folders = [folder for folder in (_below(root, name) for name in entry.folders) if folder]
    return open_image_set(folders[0], entry.name) if folders else None


def _drawn(entry: Dataset, root: Path) -> ImageSet | None:
    """The pictures of the set's classes in the set that it is part of, if that has class folders."""
    whole = _by_folder(dataset(entry.part_of), root)
    if whole is None or not any(whole.classes):
        return None
    wanted = {*class_folders(entry.class_folders), *_numbered(entry)}
    chosen = tuple(path for path, folder in zip(whole.paths, whole.classes, strict=True) if folder in wanted)
    return ImageSet(entry.name, whole.root, chosen) if chosen else None


def _below(root: Path, path: str) -> Path | None:
    """A folder below the root, whatever its case and its "-", "_" and spaces; None where there is none."""
    for part in path.split("/"):
        found = [folder for folder in _subfolders(root) if _plain(folder.name) == _plain(part)]
        if not found:
            return None
        root = next((folder for folder in found if folder.name == part), found[0])
    return root


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise NegRefineError(f"cannot read the folder {folder} ({error.strerror}); check its permissions") from error


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]", "", name.lower())


def _not_found(entry: Dataset, root: Path) -> str:
    expected = " or ".join(str(root / folder) for folder in entry.folders[:3])
    there = [folder.name for folder in _subfolders(root)]
    wanted = [*{part for folder in entry.folders for part in folder.split("/")[:1]}, entry.name]
    close = sorted({name for part in wanted for name in difflib.get_close_matches(part, there, 2, 0.7)})
    found = f"the nearest there: {', '.join(close)}" if close else f"there: {_some(there) or 'no folders'}"
    return f"{entry.title} is not under {root}: expected {expected}; {found}. Get it from {entry.url}"


def _problems(entry: Dataset, images: ImageSet) -> list[str]:
    """What is not as published. Raises NegRefineError when none of the class folders is there but others are."""
    problems = []
    present = {name for name in images.classes if name}
    if entry.class_folders and present and not (entry.split and images.root.name == entry.split.folder):
        problems += _class_problems(entry, images.root, present)
    gone = [path for path in images.paths if not (images.root / path).is_file()] if entry.split else []
    if gone:
        problems.append(f"{len(gone):,} of {len(images):,} listed images are not in {images.root}: {_some(gone)}")
    elif entry.counts and len(images) not in entry.counts:
        published = " or ".join(f"{count:,}" for count in entry.counts)
        problems.append(f"{len(images):,} images where {published} were published")
    return problems


def _class_problems(entry: Dataset, folder: Path, present: set[str]) -> list[str]:
    names = class_folders(entry.class_folders)
    expected = max((names, _numbered(entry)), key=lambda layout: len(present.intersection(layout)))
    missing, extra = [name for name in expected if name not in present], sorted(present.difference(expected))
    if extra and len(missing) == len(expected):
        raise NegRefineError(
            f"{entry.title}: {folder} should hold the class folders {_some(names)}; found "
            f"{_some(extra)}. Lay it out as {' or '.join(entry.folders[:2])}"
        )
    problems = []
    if missing:
        problems.append(f"{len(missing):,} of {len(expected):,} class folders are missing: {_some(missing)}")
    if extra:
        near = [(name, difflib.get_close_matches(name, missing, 1, 0.7)) for name in extra]
        shown = [f"{name} (expected {close[0]}?)" if close else name for name, close in near]
        problems.append(f"{len(extra):,} folders are no classes of it: {_some(shown)}")
    return problems


def _some(names: list[str] | tuple[str, ...], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")
