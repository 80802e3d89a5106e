"""The parts of what was chosen that get a role of their own: whole image sets, or class folders of one.

Nothing is preset but what was said before: a folder that is named after an ID class is proposed as ID, in words.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from negrefine_core import paths
from negrefine_core.errors import NegRefineError
from negrefine_core.image_sets import ImageSet, check_name
from negrefine_core.runs import Role, Run

from ..shared.roles import ask_role
from ..shared.words import plain, some

FEW = 8  # folders that get a role each; more get one together
TOGETHER, APART = "together", "apart"


@dataclass(frozen=True)
class Part:
    """Pictures that become the image set `name`: those of `folders` alone ("": of none), of all where there are none.

    `root` is where they lie, unless they are an upload. `by_name` are the folders that are named after ID classes.
    """

    name: str
    images: int
    root: Path | None = None
    folders: tuple[str, ...] = ()
    by_name: tuple[str, ...] = ()

    @property
    def described(self) -> str:
        return f"“{plain(self.name)}”, {self.images:,} {'picture' if self.images == 1 else 'pictures'}"


def whole(images: ImageSet) -> Part:
    return Part(check_name(images.name), len(images), images.root)


def divided(run: Run, name: str, classes: Iterable[str | None], root: Path | None = None) -> tuple[Part, ...]:
    """One set, or one a folder, as the person has it; which is asked where there are folders to tell apart."""
    counts = Counter(folder or "" for folder in classes)
    together = Part(check_name(name), counts.total(), root, by_name=_named_after_classes(run, counts))
    apart = folder_parts(run, name, counts, root)
    if len(apart) < 2:
        return (together,)
    chosen = st.segmented_control(
        "What the folders show",
        [TOGETHER, APART],
        default=APART if together.by_name else TOGETHER,
        format_func={TOGETHER: f"All {counts.total():,} show the same", APART: "Folder by folder"}.__getitem__,
        key=f"score_division_{name}_{len(counts)}",
        required=True,
    )
    return tuple(apart) if chosen == APART else (together,)


def folder_parts(run: Run, name: str, counts: Mapping[str, int], root: Path | None = None) -> list[Part]:
    """Folders named after ID classes as one part, the others each, or together where there are many."""
    named = _named_after_classes(run, counts)
    others = sorted(folder for folder in counts if folder not in named)
    groups = {"named after classes": named} if named else {}
    if len(others) > FEW:
        groups["others"] = tuple(others)
    else:
        groups |= {folder or "in no folder": (folder,) for folder in others}
    return [_part(f"{name} {words}"[:80].strip(), counts, root, folders, named) for words, folders in groups.items()]


def _part(
    name: str, counts: Mapping[str, int], root: Path | None, folders: tuple[str, ...], named: tuple[str, ...]
) -> Part:
    """A folder that has class folders of its own is an image set as it is."""
    images = sum(counts[folder] for folder in folders)
    inside = root / folders[0] if root and len(folders) == 1 and folders[0] and folders != named else None
    if inside and any(each.is_dir() for each in inside.iterdir()):
        return Part(name, images, inside)
    return Part(name, images, root, folders, named if folders == named else ())


def _named_after_classes(run: Run, folders: Iterable[str]) -> tuple[str, ...]:
    classes = {label.casefold() for label in run.id_labels}
    return tuple(sorted(f for f in folders if f and {f.casefold(), f.casefold().replace("_", " ")} & classes))


def ask_roles(run: Run, parts: Iterable[Part]) -> dict[str, Role | None]:
    """A question a part; None where it has no answer yet."""
    return {part.name: _ask_role(run, part) for part in parts}


def _ask_role(run: Run, part: Part) -> Role | None:
    said = run.role(part.name) if part.name in run.scored_sets and _is_said(run, part) else None
    role = ask_role(f"{part.described}: what do they show?", f"score_role_{part.name}_{part.folders}", said)
    if part.by_name:
        count = len(part.by_name)
        named = f"{count:,} folders are" if count > 1 else "1 folder is"
        st.caption(
            f":material/label: {named} named after your classes: {some(part.by_name, 8)}. ID by name? Choose “My ID "
            "classes” above if that is so."
        )
    return role


def _is_said(run: Run, part: Part) -> bool:
    """Whether the set was given a role before: of the same pictures."""
    said = part.name in run.info.roles or run.role(part.name) != "unknown"
    return said and part.root is not None and run.roots.get(part.name) == paths.portable(part.root)


def check_distinct(parts: Iterable[Part]) -> None:
    names = [part.name.casefold() for part in parts]
    if len(set(names)) < len(names):
        raise NegRefineError(f"Two sets would be called {names[0]!r}. Choose another name for the set.")
