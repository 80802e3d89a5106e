"""Uploads: what is sent in good faith is kept with its classes; what is hostile is refused, with nothing written."""

import io
import stat
import struct
import tracemalloc
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from negrefine_app.score import uploads

from negrefine_core.errors import NegRefineError
from negrefine_core.image_sets import open_image_set
from tests.support.pictures import huge_png, png, zipped


def everything(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """The folder of an image set; nothing may ever be written beside it."""
    return tmp_path / "around" / "run" / "images" / "pets"


def unpack(files: Sequence[tuple[str, io.BytesIO]], target: Path) -> uploads.Unpacked:
    return uploads.unpack(files, target.parent, target.name)


def refused(files: Sequence[tuple[str, io.BytesIO]], target: Path, message: str) -> None:
    with pytest.raises(NegRefineError, match=message):
        unpack(files, target)
    assert everything(target.parents[2]) == {}


# --- in good faith ---------------------------------------------------------------------------------------------------


def test_a_zip_of_class_folders_keeps_them_without_the_folder_around_them(target: Path) -> None:
    members = {"my pets/cat/1.png": png(1), "my pets/dog/1.png": png(2), "my pets/dog/deep/2.JPG": png(3)}
    made = unpack([("pets.zip", zipped(members))], target)
    assert everything(target.parents[2]) == {
        "run/images/pets/cat/1.png": png(1),
        "run/images/pets/dog/1.png": png(2),
        "run/images/pets/dog/deep/2.JPG": png(3),
    }
    assert (made.folder, made.pictures, made.unreadable, made.notes) == (target, 3, (), ())
    assert open_image_set(target).classes == ("cat", "dog", "dog")


def test_a_single_class_folder_is_a_class_and_not_the_folder_around_them(target: Path) -> None:
    unpack([("pets.zip", zipped({"cat/1.png": png(1), "cat/2.png": png(2)}))], target)
    assert open_image_set(target).classes == ("cat", "cat")


def test_some_class_folders_alone_become_a_set_without_the_folder_around_theirs(target: Path) -> None:
    files = [("mixed.zip", zipped({"animals/cat/1.png": png(1), "animals/dog/2.png": png(2), "cars/3.png": png(3)}))]
    assert uploads.listed_classes(files) == ["animals", "animals", "cars"]  # type: ignore[arg-type]
    uploads.unpack(files, target.parent, "pets", ["animals"])  # type: ignore[arg-type]
    uploads.unpack(files, target.parent, "cars", ["cars"])  # type: ignore[arg-type]
    assert set(everything(target.parent)) == {"pets/cat/1.png", "pets/dog/2.png", "cars/cars/3.png"}


def test_loose_files_folders_and_zips_go_together(target: Path) -> None:
    files = [("a.png", io.BytesIO(png(1))), ("dog/b.png", io.BytesIO(png(2))), ("x.zip", zipped({"cat/c.png": png(3)}))]
    unpack(files, target)
    assert everything(target) == {"a.png": png(1), "dog/b.png": png(2), "cat/c.png": png(3)}


def test_what_is_no_picture_is_left_out_and_said(target: Path) -> None:
    members = {"a.png": png(), "notes.txt": b"x", "inner.zip": zipped({"b.png": png()}).getvalue(),
               "__MACOSX/._a.png": b"x", ".DS_Store": b"x", "Thumbs.db": b"x", "empty/": b""}  # fmt: skip
    made = unpack([("a.zip", zipped(members))], target)
    assert everything(target) == {"a.png": png()}
    assert made.notes == ("Left out, since not pictures: 3 (.db, .txt, .zip)",)


def test_names_that_clash_are_told_apart_even_where_case_does_not_count(target: Path) -> None:
    files = [("a.png", io.BytesIO(png(1))), ("A.png", io.BytesIO(png(2))), ("a.png", io.BytesIO(png(3)))]
    unpack(files, target)
    assert everything(target) == {"a.png": png(1), "A (2).png": png(2), "a (3).png": png(3)}


def test_a_file_and_a_folder_of_one_name_do_not_end_the_upload(target: Path) -> None:
    made = unpack([("a.zip", zipped({"x.png": png(1), "x.png/y.png": png(2)}))], target)
    assert everything(target) == {"x.png": png(1)}
    assert [name for name, _ in made.unreadable] == ["x.png/y.png"]


@pytest.mark.parametrize("name", ["a\nb\x1b[2J.png", "a\u202eb.png", "a\udc80.png", "x" * 300 + ".png"])
def test_names_lose_control_characters_and_length(name: str, target: Path) -> None:
    unpack([(name, io.BytesIO(png()))], target)
    (written,) = everything(target)
    assert written.endswith(".png")
    assert written.isprintable()
    assert len(written.encode()) < 150


def test_windows_backslashes_are_folders(target: Path) -> None:
    unpack([("a.zip", zipped({"pets\\cat\\1.png": png(1), "pets\\dog\\2.png": png(2)}))], target)
    assert set(everything(target)) == {"cat/1.png", "dog/2.png"}


# --- hostile ---------------------------------------------------------------------------------------------------------

OUTSIDE = ["../out.png", "a/../../out.png", "/srv/out.png", "C:/out.png", "c:out.png", "..\\..\\out.png",
           "\\\\server\\out.png", "a/..\\..\\out.png"]  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_path_that_leaves_its_folder_is_refused(name: str, target: Path) -> None:
    refused([("a.zip", zipped({"good.png": png(), name: png()}))], target, "wants to lie outside its folder")
    refused([("good.png", io.BytesIO(png())), (name, io.BytesIO(png()))], target, "wants to lie outside its folder")


@pytest.mark.parametrize(("kind", "word"), [(stat.S_IFLNK, "a link"), (stat.S_IFIFO, "something that is no file")])
def test_a_link_or_a_device_is_refused(kind: int, word: str, target: Path) -> None:
    buffer = zipped({"good.png": png()})
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    refused([("a.zip", buffer)], target, f"a.zip holds {word}")


def test_ten_thousand_files_are_refused_with_the_limit(target: Path) -> None:
    many = {f"{i}.png": b"" for i in range(10_000)}
    refused([("a.zip", zipped(many, zipfile.ZIP_STORED))], target, "10,000 files; the limit is 5,000")
    refused([(name, io.BytesIO()) for name in many], target, "10,000 files; the limit is 5,000")


def test_a_table_of_contents_of_a_hundred_thousand_files_is_not_even_read(target: Path) -> None:
    many = zipped({f"{i}.png": b"" for i in range(100_000)}, zipfile.ZIP_STORED)
    tracemalloc.start()
    refused([("a.zip", many)], target, "too many files; the limit is 5,000")
    assert tracemalloc.get_traced_memory()[1] < 10 * 1024**2
    tracemalloc.stop()


def test_a_zip_bomb_is_refused_by_its_ratio(target: Path) -> None:
    bomb = zipped({"bomb.png": bytes(60 * 1024**2)})
    refused([("a.zip", bomb)], target, "from 0 MB to 60 MB when unpacked")


def test_more_than_the_limit_unpacked_is_refused(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_BYTES", 1024)
    refused([("a.zip", zipped({"a.png": bytes(2000)}))], target, "the limit is 0 MB")
    refused([("a.png", io.BytesIO(bytes(2000)))], target, "the limit is 0 MB")


def test_a_bomb_that_lies_about_its_size_gets_no_further_than_what_it_states(target: Path) -> None:
    bomb = zipped({"bomb.png": bytes(60 * 1024**2)}).getvalue()
    lie = bomb.replace(struct.pack("<I", 60 * 1024**2), struct.pack("<I", 1000))
    assert lie != bomb
    refused([("a.zip", io.BytesIO(lie))], target, r"no picture of the 1 in the upload can be read")
    made = unpack([("a.zip", io.BytesIO(lie)), ("good.png", io.BytesIO(png()))], target)
    assert [name for name, _ in made.unreadable] == ["bomb.png"]
    assert sum(len(content) for content in everything(target).values()) <= 1000 + len(png())


def test_a_text_file_named_png_is_named_and_refused_where_it_is_all_there_is(target: Path) -> None:
    refused([("a.png", io.BytesIO(b"hello"))], target, r"upload can be read; the first, a.png: not a picture")
    assert uploads.unreadable([("a.png", io.BytesIO(b"hello")), ("b.png", io.BytesIO(png()))]) == [
        ("a.png", "not a picture")
    ]
    made = unpack([("a.png", io.BytesIO(b"hello")), ("b.png", io.BytesIO(png()))], target)
    assert made.unreadable == (("a.png", "not a picture"),)
    assert made.pictures == 2


def test_a_picture_of_900_million_pixels_is_refused_without_decoding_it(target: Path) -> None:
    huge = huge_png()
    tracemalloc.start()
    refused([("huge.png", io.BytesIO(huge))], target, "too large")
    made = unpack([("huge.png", io.BytesIO(huge)), ("b.png", io.BytesIO(png()))], target)
    assert tracemalloc.get_traced_memory()[1] < 20 * 1024**2
    tracemalloc.stop()
    assert made.unreadable[0][1].startswith("too large")


def test_locked_and_oddly_packed_members_are_named(target: Path) -> None:
    locked = bytearray(zipped({"a.png": png()}).getvalue())
    locked[locked.rindex(b"PK\1\2") + 8] |= 1  # in the table of contents
    refused([("a.zip", io.BytesIO(bytes(locked)))], target, "locked with a password")
    odd = zipped({"a.png": png()}, zipfile.ZIP_LZMA)
    refused([("a.zip", odd)], target, "make an ordinary zip")


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\5\6" + bytes(18)])
def test_what_is_no_zip_or_an_empty_one_is_refused(content: bytes, target: Path) -> None:
    refused([("a.zip", io.BytesIO(content))], target, "cannot be opened as a zip|no pictures in the upload")


def test_a_damaged_member_is_named_and_the_rest_kept(target: Path) -> None:
    buffer = bytearray(zipped({"a.png": png(1), "b.png": png(2)}, zipfile.ZIP_STORED).getvalue())
    buffer[buffer.index(b"IDAT") + 20] ^= 255
    made = unpack([("a.zip", io.BytesIO(bytes(buffer)))], target)
    assert [name for name, _ in made.unreadable] == ["a.png"]
    assert "b.png" in everything(target)


def test_a_name_in_use_is_refused_and_its_pictures_stay(target: Path) -> None:
    unpack([("a.png", io.BytesIO(png(1)))], target)
    with pytest.raises(NegRefineError, match="choose another name"):
        unpack([("a.png", io.BytesIO(png(2)))], target)
    assert everything(target) == {"a.png": png(1)}


@pytest.mark.parametrize("name", ["..", ".", "average", "a\nb", "x" * 81])
def test_a_set_cannot_be_named_out_of_its_folder(name: str, target: Path) -> None:
    with pytest.raises(NegRefineError, match="image set"):
        uploads.unpack([("a.png", io.BytesIO(png()))], target.parent, name)
    assert everything(target.parents[2]) == {}


def test_a_disk_without_room_is_told_before_anything_is_written(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(uploads.shutil, "disk_usage", lambda _: usage)
    refused([("a.png", io.BytesIO(png()))], target, "has no room")
