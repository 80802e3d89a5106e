"""What the Score page can score: bundled sets, an upload, a folder of the server, or the paper's image sets."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from negrefine_core import paths
from negrefine_core.errors import NegRefineError
from negrefine_core.image_sets import ImageSet, check_name, open_image_set
from negrefine_core.runs import Run

from ..shared.view import switch
from ..shared.words import plain
from .benchmarks import benchmark_root, choose_benchmark_sets
from .uploads import MAX_FILES, unpack
from .view import SOURCES, ScoreView

NOTES = "score_notes"  # on the session's last upload
ROUND = "score_round"  # counts the uploads of a session: a new key empties the uploader


@dataclass(frozen=True)
class Chosen:
    """Image sets that lie in folders, or an upload and the name of the set that it becomes.

    Sets of the registry come with the `root` that they were found under, and with their `roles`: whether each is ID.
    """

    image_sets: tuple[ImageSet, ...] = ()
    files: tuple[Any, ...] = ()
    name: str = ""
    root: str = ""
    roles: dict[str, bool] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return [image_set.name for image_set in self.image_sets] or [self.name]

    @property
    def images(self) -> int | None:
        """How many there are; None for an upload, which is counted when it is unpacked."""
        return sum(map(len, self.image_sets)) or None


def choose_pictures(run: Run, view: ScoreView) -> Chosen | None:
    """The widgets of one source, and what is chosen with them; None until something is."""
    switch("Pictures", SOURCES, view, "source")
    if view.source == "bundled":
        return _bundled(run)
    if view.source == "benchmark":
        return _benchmark(run, view)
    return _server() if view.source == "server" else _upload(run, view.source)


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
    return Chosen(tuple(_listed(str(paths.IMAGES / name)) for name in chosen))


def _server() -> Chosen | None:
    left, right = st.columns([3, 1])
    folder = left.text_input(
        "Folder",
        key="score_folder",
        placeholder="/home/me/photos/pets",
        help="A folder on the computer that runs this app, with the pictures in it or in one subfolder a class.",
    ).strip()
    if not folder:
        st.caption("Type the path of a folder with pictures; subfolders are taken as classes.")
        return None
    if not Path(folder).expanduser().is_absolute():
        raise NegRefineError(f"{folder!r} is not a whole path; it starts with / or ~")
    name = _name(right, Path(folder).expanduser().resolve().name)
    found = _listed(folder, name)
    classes = {kind for kind in found.classes if kind}
    st.caption(f"{len(found):,} pictures in {len(classes):,} class folders" if classes else f"{len(found):,} pictures")
    return Chosen((found,))


def _benchmark(run: Run, view: ScoreView) -> Chosen | None:
    chosen = choose_benchmark_sets(run, view)
    if not chosen:
        return None
    roles = {name: is_id for name, (_, is_id) in chosen.items()}
    images = tuple(found.images for found, _ in chosen.values())
    return Chosen(images, root=str(benchmark_root(view).resolve()), roles=roles)


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
        st.caption(f"Subfolders are taken as classes; {limit}. For more, use a folder on the server.")
        return None
    name = _name(st.container(), _stem(files), key=f"score_name_{number}_{_stem(files)}")
    if (run.path("images") / name).exists():
        raise NegRefineError(f"The run has uploaded pictures called {name!r} already. Choose another name.")
    return Chosen(files=tuple(files), name=name)


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


def unpacked(run: Run, chosen: Chosen) -> tuple[ImageSet, ...]:
    """The chosen image sets, an upload being unpacked into the run's folder first."""
    if not chosen.files:
        return chosen.image_sets
    files: list[tuple[str, IO[bytes]]] = [(file.name, file) for file in chosen.files]
    made = unpack(files, run.path("images"), chosen.name)
    st.session_state[ROUND] += 1
    st.session_state[NOTES] = made.notes
    return (open_image_set(made.folder, chosen.name),)
