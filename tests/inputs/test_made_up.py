"""Inputs that hypothesis makes up: each is accepted and exact, or refused in one line; nothing else ever happens.

`NEGREFINE_INPUTS=deep pytest tests/inputs/test_made_up.py --hypothesis-show-statistics` tries thousands of each and
says how many.
"""

import io
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from negrefine_app.classes import sources
from negrefine_app.classes.problems import mended
from negrefine_app.classes.view import ClassesView
from negrefine_app.compare.view import CompareView
from negrefine_app.explore.view import ExploreView
from negrefine_app.image.view import ImageView
from negrefine_app.learn.view import LearnView
from negrefine_app.review.view import ReviewView
from negrefine_app.score import uploads
from negrefine_app.score.view import ScoreView
from negrefine_app.shared.address import Address
from negrefine_app.shared.view import View
from negrefine_app.shared.words import plain
from PIL import Image

from negrefine_core import overrides
from negrefine_core.errors import NegRefineError
from negrefine_core.image_sets import check_name, open_image_set, read_image
from negrefine_core.labels import read_class_list, visible
from negrefine_core.run_files.id_labels import read_id_labels, write_id_labels
from negrefine_core.runs import Run, Settings
from tests.support.pictures import picture, png
from tests.support.runs import REVIEWED_IDS, write_verdicts

# a library that was imported before holds its generator loosely; no test here draws from it
pytestmark = pytest.mark.filterwarnings("ignore:It looks like `register_random`")

ODD = [
    "\0",
    "\ufeff",
    "\u202e",
    "\u200b",
    "\u200d",
    "e\u0301",
    "é",
    "\u2028",
    "\x85",
    "\x1c",
    "İ",
    "ß",
    "😀",
    "\ud800",
    "/",
]
ODD += ["..", "\\", "\n", "\r", "{}", "%s", "<b>", "**", ":red[", '"', ",", "-"]
TEXT = st.lists(st.one_of(st.sampled_from(ODD), st.text(max_size=8)), max_size=8).map("".join)
LINES = st.lists(TEXT, max_size=12).map("\n".join)
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"])
BYTES = st.one_of(
    st.binary(max_size=200), st.tuples(LINES, ENCODINGS).map(lambda made: made[0].encode(made[1], errors="replace"))
)


def said_in_one_line(error: NegRefineError) -> None:
    """A message for a person: short enough, one line, and writable wherever it is shown."""
    assert str(error)
    assert "\n" not in str(error)
    str(error).encode()


# --- class lists -----------------------------------------------------------------------------------------------------


@given(BYTES)
def test_a_class_list_is_read_as_it_looks_or_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "classes.txt"
        file.write_bytes(content)
        try:
            labels = list(read_class_list(file).labels)
        except NegRefineError as error:
            return said_in_one_line(error)
        assert all(label == visible(label) != "" for label in labels)
        assert len({label.casefold() for label in labels}) == len(labels)
        write_id_labels(file, labels)
        assert read_id_labels(file) == labels


@given(BYTES, st.sampled_from(["a.txt", "a.csv", "a.CSV", "a.json"]))
def test_an_uploaded_class_list_is_taken_or_refused(content: bytes, name: str) -> None:
    try:
        names = sources.from_file(name, content)
    except NegRefineError as error:
        return said_in_one_line(error)
    assert all(each == visible(each) for each in mended(names))


@given(LINES)
def test_a_pasted_class_list_is_taken_or_refused(text: str) -> None:
    try:
        names = sources.from_text(text)
    except NegRefineError as error:
        return said_in_one_line(error)
    assert names


@pytest.mark.parametrize("text", ["x\n" * 100_000, "x" * 1_000_000, "\n" * 100_000, "a,b\n" * 100_000])
def test_a_huge_class_list_is_taken_or_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    for read in (lambda: read_class_list(tmp_path / "a.txt"), lambda: sources.from_file("a.csv", text.encode())):
        try:
            assert read()
        except NegRefineError as error:
            said_in_one_line(error)


# --- names -----------------------------------------------------------------------------------------------------------


@given(TEXT)
def test_a_name_is_a_sets_only_where_it_names_one_file(name: str) -> None:
    try:
        check_name(name)
    except NegRefineError as error:
        return said_in_one_line(error)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scores" / f"{name}.parquet"
        file.parent.mkdir()
        file.write_bytes(b"")
        assert [found.stem for found in file.parent.iterdir()] == [name]


@given(st.binary(min_size=1, max_size=40).filter(lambda name: not set(name) & {0, 0x2F} and name not in (b".", b"..")))
def test_a_folder_or_file_of_any_bytes_is_listed_or_refused(name: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        inside = Path(folder.encode().decode()) / name.decode(errors="surrogateescape")
        inside.mkdir()
        (inside / "a.png").write_bytes(b"x")
        (inside / (name.decode(errors="surrogateescape") + ".png")).write_bytes(b"x")
        try:
            found = open_image_set(inside)
        except NegRefineError as error:
            return said_in_one_line(error)
        assert "a.png" in found.paths


# --- pictures --------------------------------------------------------------------------------------------------------


def encoded(mode: str, kind: str) -> bytes:
    buffer, image = io.BytesIO(), picture(1).convert(mode if mode != "I;16" else "L")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    more = {"save_all": True, "append_images": [picture(2).convert(mode)]} if kind in ("GIF", "WEBP") else {}
    image.save(buffer, kind, exif=exif, **more) if kind in ("JPEG", "PNG", "WEBP") else image.save(buffer, kind, **more)
    return buffer.getvalue()


MADE = [
    ("RGB", "JPEG"), ("CMYK", "JPEG"), ("L", "JPEG"), ("RGBA", "PNG"), ("I;16", "PNG"), ("P", "PNG"), ("1", "PNG"),
    ("RGB", "WEBP"), ("RGBA", "WEBP"), ("P", "GIF"), ("RGB", "BMP"), ("CMYK", "TIFF"), ("I;16", "TIFF"), ("RGB", "PPM"),
]  # fmt: skip
FILES = [encoded(*how) for how in MADE]
FLIPS = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6)


@given(st.sampled_from(FILES), FLIPS, st.one_of(st.none(), st.integers(0, 4_000)))
def test_a_damaged_picture_is_a_picture_or_refused(
    content: bytes, flips: list[tuple[int, int]], cut: int | None
) -> None:
    damaged = bytearray(content)
    for place, value in flips:
        damaged[place % len(damaged)] = value
    try:
        image = read_image(io.BytesIO(bytes(damaged[:cut])))
    except NegRefineError as error:
        return said_in_one_line(error)
    assert image.mode == "RGB"
    assert min(image.size) > 0


# --- uploads ---------------------------------------------------------------------------------------------------------

MEMBERS = st.lists(
    st.tuples(TEXT.map(lambda name: name + ".png"), st.sampled_from([png(1), b"", b"x" * 99])), max_size=5
)


@given(MEMBERS, FLIPS, st.booleans())
def test_an_upload_stays_in_its_folder_or_leaves_nothing(
    members: list[tuple[str, bytes]], flips: list[tuple[int, int]], as_zip: bool
) -> None:
    files = [(name, io.BytesIO(content)) for name, content in members]
    if as_zip:
        buffer = io.BytesIO()
        with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
            warnings.simplefilter("ignore")  # of names that are there twice
            for name, content in members:
                archive.writestr(zipfile.ZipInfo(name.encode(errors="replace").decode() or "x"), content)
        damaged = bytearray(buffer.getvalue())
        for place, value in flips:
            damaged[place % len(damaged)] = value
        files = [("a.zip", io.BytesIO(bytes(damaged)))]
    with tempfile.TemporaryDirectory() as around:
        parent = Path(around) / "run" / "images"
        try:
            made = uploads.unpack(files, parent, "pets")
        except NegRefineError as error:
            said_in_one_line(error)
            assert not [path for path in Path(around).rglob("*") if path.is_file()]
            return
        written = [path for path in Path(around).rglob("*") if path.is_file()]
        assert all(path.is_relative_to(made.folder) for path in written)
        assert len(written) <= made.pictures


# --- decisions -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run.create("made-up", Settings(n_groups=2), REVIEWED_IDS, tmp_path_factory.mktemp("runs"))
    write_verdicts(run)
    return run


CELL = st.one_of(TEXT, st.sampled_from(["oslo", "granite", "kept", "dropped"]))
ROWS = st.lists(st.lists(CELL, max_size=4).map(",".join), max_size=5).map("\n".join)
TABLES = st.one_of(BYTES, ROWS.map(lambda rows: f"negative,decision,reason,who\n{rows}".encode(errors="replace")))


@given(content=TABLES)
def test_a_table_of_decisions_is_applied_whole_or_refused(reviewed: Run, content: bytes) -> None:
    before = len(reviewed.overrides)
    try:
        added, _ = overrides.import_csv(reviewed, io.BytesIO(content), "me", "decisions.csv")
    except NegRefineError as error:
        said_in_one_line(error)
        assert len(reviewed.overrides) == before
        return
    assert len(reviewed.overrides) == before + len(added)


# --- URLs ------------------------------------------------------------------------------------------------------------

VIEWS = [ClassesView, CompareView, ExploreView, ImageView, LearnView, ReviewView, ScoreView, View]
PARAMETERS = sorted({name for view in VIEWS for name in view.__dataclass_fields__} | {"x", ""})
VALUES = st.one_of(TEXT, st.sampled_from(["nan", "inf", "-1", "1e999", "٣", "%2C", "%ff", "9" * 400, "1_0", "tpr95"]))
QUERIES = st.dictionaries(st.sampled_from(PARAMETERS), VALUES, max_size=6)


@given(st.sampled_from(VIEWS), QUERIES)
def test_a_url_is_a_view_that_writes_the_same_url_again(kind: type[View], query: dict[str, str]) -> None:
    view = kind.parse(query)
    written = view.query()
    assert kind.parse(written).query() == written


@given(TEXT, TEXT)
def test_an_address_is_read_as_it_was_written(image_set: str, path: str) -> None:
    name = image_set.replace("/", "")
    assert Address.parse(str(Address(name, path))) == Address(name, path)


@given(TEXT)
def test_a_name_in_markdown_holds_no_sign_that_is_obeyed(name: str) -> None:
    made = plain(name)
    assert "\n" not in made
    signs = [made[i - 1 : i + 1] for i, sign in enumerate(made) if sign in "<>[]*_`$:"]
    assert all(pair.startswith("\\") for pair in signs)
