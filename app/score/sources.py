"""What the Score page can score: bundled sets, an upload, a folder of the server, or the paper's image sets."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from negrefine_core import paths
from negrefine_core.errors import NegRefineError
from negrefine_core.image_sets import ImageSet, check_name, open_image_set
from negrefine_core.runs import Role, Run

from ..shared.view import switch
from ..shared.words import plain, plural
from .benchmarks import benchmark_root, choose_benchmark_sets
from .parts import Part, divided, whole
from .uploads import MAX_FILES, Unpacked, listed_classes, unpack, unreadable
from .view import SOURCES, ScoreView

NOTES = "score_notes"  # on the session's last upload
SKIPPED = "score_skipped"  # the files of the upload that is chosen, and which of them cannot be read
ROUND = "score_round"  # counts the uploads of a session: a new key empties the uploader


@dataclass(frozen=True)
class Chosen:
    """The image sets to score, or an upload and the sets that it becomes.

    Sets of the registry come with the `root` that they were found under, and with their `roles`.
    """

    parts: tuple[Part, ...]
    files: tuple[Any, ...] = ()
    root: str = ""
    roles: dict[str, Role | None] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return [part.name for part in self.parts]

    @property
    def images(self) -> int:
        return sum(part.images for part in self.parts)


def choose_pictures(run: Run, view: ScoreView) -> Chosen | None:
    """The widgets of one source, and what is chosen with them; None until something is."""
    switch("Pictures", SOURCES, view, "source")
    if view.source == "bundled":
        return _bundled(run)
    if view.source == "benchmark":
        return _benchmark(run, view)
    return _server(run) if view.source == "server" else _upload(run, view.source)


@st.cache_data(ttl=20, max_entries=32, show_spinner="Counting the pictures")
def _listed(folder: str, name: str | None = None) -> ImageSet:
    return open_image_set(folder, name)


def _bundled(run: Run) -> Chosen | None:
    names = sorted(path.name for path in paths.IMAGES.iterdir() if path.is_dir())
    chosen = st.pills(
        "Picture sets",
        names,
        selection_mode="multi",
        key="score_bundled",
        label_visibility="collapsed",
        format_func=lambda name: f"{name.replace('_', ' ')} ({len(_listed(str(paths.IMAGES / name)))})",
    )
    if not chosen:
        st.caption("Choose one or more of the small picture sets that come with the app.")
        return None
    return Chosen(tuple(whole(_listed(str(paths.IMAGES / name))) for name in chosen))


def _server(run: Run) -> Chosen | None:
    left, right = st.columns([3, 1])
    folder = left.text_input(
        "Folder",
        key="score_folder",
        placeholder="/home/me/photos/pets",
        help="A folder on the computer that runs this app, with the pictures in it or in one subfolder a class.",
    ).strip()
    if not folder:
        st.caption("Type the path of a folder with pictures, sorted into subfolders or not.")
        return None
    if not Path(folder).expanduser().is_absolute():
        raise NegRefineError(f"{folder!r} is not a whole path; it starts with / or ~")
    name = _name(right, Path(folder).expanduser().resolve().name)
    found = _listed(folder, name)
    classes = {kind for kind in found.classes if kind}
    st.caption(f"{len(found):,} pictures in {len(classes):,} class folders" if classes else f"{len(found):,} pictures")
    return Chosen(divided(run, name, found.classes, found.root))


def _benchmark(run: Run, view: ScoreView) -> Chosen | None:
    chosen = choose_benchmark_sets(run, view)
    if not chosen:
        return None
    roles: dict[str, Role | None] = {name: "ID" if is_id else "OOD" for name, (_, is_id) in chosen.items()}
    parts = tuple(whole(found.images) for found, _ in chosen.values())
    return Chosen(parts, root=str(benchmark_root(view).resolve()), roles=roles)


def _upload(run: Run, source: str) -> Chosen | None:
    number = st.session_state.setdefault(ROUND, 0)
    limit = f"at most {MAX_FILES:,} files and 200 MB each"
    files = st.file_uploader(
        "Pictures or zips of pictures" if source == "files" else "A folder of pictures",
        accept_multiple_files=True if source == "files" else "directory",
        key=f"score_{source}_{number}",
        help="Subfolders are taken as classes. The pictures are kept in the run’s folder on the server.",
    )
    if not files:
        st.caption(f"Sorted into subfolders or not; {limit}. For more, use a folder on the server.")
        return None
    if skipped := _skipped(files):
        first, reason = skipped[0]
        st.warning(
            f"{len(skipped):,} {plural(len(skipped), 'file')} cannot be read and will be skipped; the first, "
            f"{plain(first)}: {plain(reason)}.",
            icon=":material/broken_image:",
        )
    name = _name(st.container(), _stem(files), key=f"score_name_{number}_{_stem(files)}")
    parts = divided(run, name, listed_classes([(file.name, file) for file in files]))
    for part in parts:
        if (run.path("images") / part.name).exists():
            raise NegRefineError(f"The run has uploaded pictures called {part.name!r} already. Choose another name.")
    return Chosen(parts, tuple(files))


def _skipped(files: Sequence[Any]) -> list[tuple[str, str]]:
    """The uploaded pictures that cannot be read, looked at once. Raises NegRefineError where none can."""
    key = tuple(file.file_id for file in files)
    known, found = st.session_state.get(SKIPPED, (None, []))
    if known != key:
        found = unreadable([(file.name, file) for file in files])
        st.session_state[SKIPPED] = (key, found)
    return list(found)


def _stem(files: Sequence[Any]) -> str:
    first = files[0].name.replace("\\", "/").strip("/")
    stem = "upload"
    if "/" in first:
        stem = first.split("/")[0]
    elif len(files) == 1:
        stem = first.rpartition(".")[0]
    return "".join(c if c.isalnum() or c in " -_." else "_" for c in stem).strip(" .")[:60] or "upload"


def _name(place: DeltaGenerator, default: str, key: str | None = None) -> str:
    name = place.text_input(
        "Name of the image set",
        default,
        key=key or f"score_name_{default}",
        max_chars=80,
        help="What the set is called in Explore and in the run’s files.",
    )
    return check_name(name.strip())


def tell_of_upload() -> None:
    """What was left out of the last upload, once."""
    for note in st.session_state.pop(NOTES, ()):
        st.toast(plain(note))


def unpacked(run: Run, chosen: Chosen) -> list[Part]:
    """The chosen parts with where they lie; an upload is unpacked into the run's folder first, all of it or nothing."""
    if not chosen.files:
        return list(chosen.parts)
    files: list[tuple[str, IO[bytes]]] = [(file.name, file) for file in chosen.files]
    made: list[Unpacked] = []
    try:
        for part in chosen.parts:
            made.append(unpack(files, run.path("images"), part.name, part.folders))
    except BaseException:
        for each in made:
            shutil.rmtree(each.folder, ignore_errors=True)
        raise
    st.session_state[ROUND] += 1
    st.session_state[NOTES] = made[0].notes
    return [replace(part, root=each.folder, folders=()) for part, each in zip(chosen.parts, made, strict=True)]
