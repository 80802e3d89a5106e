"""Image sets: whatever lies in a folder is read, or skipped with its reason; nothing is fatal or embedded twice."""

import io
import os
import struct
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from negrefine_core import embedding, feature_store, paths
from negrefine_core.cache import CachedEncoder
from negrefine_core.embedding import embed_images
from negrefine_core.encoder import OpenClipEncoder
from negrefine_core.errors import Cancelled, NegRefineError
from negrefine_core.feature_store import FeatureStore
from negrefine_core.image_sets import open_image_set, read_image
from tests.support.pictures import picture, write_pictures

# --- folders ---------------------------------------------------------------------------------------------------------


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def test_pictures_are_listed_sorted_with_their_class_folder(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.JPG", "b/1.png", "a/deep/er/x.webp", "0.jpeg", "notes.txt", "a/readme.md")
    found = open_image_set(tmp_path)
    assert found.paths == ("0.jpeg", "a/deep/er/x.webp", "b/1.png", "b/2.JPG")
    assert found.classes == (None, "a", "b", "b")
    assert (found.name, len(found)) == (tmp_path.name, 4)
    assert open_image_set(tmp_path, "mine").name == "mine"


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", ".b.png", ".git/c.png", "d/.cache/e.png", "d/._f.png")
    assert open_image_set(tmp_path).paths == ("a.png",)


def test_a_hidden_parent_of_the_root_hides_nothing(tmp_path: Path) -> None:
    touch(tmp_path, ".data/set/a.png")
    assert len(open_image_set(tmp_path / ".data" / "set")) == 1


def test_linked_folders_and_files_are_followed(tmp_path: Path) -> None:
    touch(tmp_path, "whole/cat/x.png", "whole/dog/y.png", "subset/z.png")
    (tmp_path / "subset" / "cat").symlink_to(tmp_path / "whole" / "cat")
    (tmp_path / "subset" / "one.png").symlink_to(tmp_path / "whole" / "dog" / "y.png")
    assert open_image_set(tmp_path / "subset").paths == ("cat/x.png", "one.png", "z.png")


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.png")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "b.png").symlink_to(tmp_path / "b.png")
    assert "a/x.png" in open_image_set(tmp_path).paths


def test_a_folder_whose_name_ends_like_a_picture_is_no_picture(tmp_path: Path) -> None:
    touch(tmp_path, "set.jpg/x.png")
    assert open_image_set(tmp_path).paths == ("set.jpg/x.png",)


def test_a_missing_folder_a_file_and_an_empty_folder_each_say_so(tmp_path: Path) -> None:
    touch(tmp_path, "file.png", "texts/a.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NegRefineError, match=r"no folder .*/nowhere; check the path"):
        open_image_set(tmp_path / "nowhere")
    with pytest.raises(NegRefineError, match=r"no folder .*/file\.png; this is a file"):
        open_image_set(tmp_path / "file.png")
    for folder in ("empty", "texts"):
        with pytest.raises(NegRefineError, match=rf"no images under .*/{folder}; expected \.jpg, .*\.webp"):
            open_image_set(tmp_path / folder)


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder used by a user for whom permissions count: root passes over them."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    root = os.geteuid() == 0
    if root:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    yield folder
    for path in folder.rglob("*"):
        path.chmod(0o755)
    if root:
        os.seteuid(0)
    import shutil

    shutil.rmtree(folder)


@pytest.mark.parametrize("below", ["", "/inside"])
def test_an_unreadable_folder_says_so(unprivileged: Path, below: str) -> None:
    touch(unprivileged, "set/inside/x.png")
    (unprivileged / "set").chmod(0)
    with pytest.raises(NegRefineError, match=r"cannot read the folder .*Permission denied.*check its permissions"):
        open_image_set(f"{unprivileged}/set{below}")
    (unprivileged / "set").chmod(0o755)


def test_an_unreadable_picture_is_skipped_with_the_reason(unprivileged: Path, encoder: OpenClipEncoder) -> None:
    write_pictures(unprivileged / "set", 2)
    (unprivileged / "set" / "001.png").chmod(0)
    (chunk,) = embed_images(CachedEncoder(encoder, unprivileged / "cache"), open_image_set(unprivileged / "set"))
    assert chunk.indices.tolist() == [0]
    assert chunk.skipped == ((1, "Permission denied"),)


@pytest.mark.parametrize("name", ["../x", "a/b", "/abs", "a\\b"])
def test_a_name_that_would_lead_out_of_the_runs_folder_is_refused(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "x.png")
    with pytest.raises(NegRefineError, match="cannot name an image set"):
        open_image_set(tmp_path, name)


# --- one picture -----------------------------------------------------------------------------------------------------


def colour(path: Path) -> tuple[int, ...]:
    image = read_image(path)
    assert image.mode == "RGB"
    return image.getpixel((0, 0))


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [("RGB", (200, 20, 60), (200, 20, 60)),
     ("L", 90, (90, 90, 90)),
     ("1", 1, (255, 255, 255)),
     ("RGBA", (200, 20, 60, 255), (200, 20, 60)),
     ("RGBA", (200, 20, 60, 0), (255, 255, 255)),
     ("RGBA", (0, 0, 0, 128), (127, 127, 127)),
     ("LA", (0, 0), (255, 255, 255)),
     ("I;16", 65535, (255, 255, 255)),
     ("I;16", 32768, (128, 128, 128)),
     ("I;16", 200, (1, 1, 1))],
)  # fmt: skip
def test_a_png_of_any_kind_becomes_upright_rgb(
    tmp_path: Path, mode: str, value: tuple[int, ...] | int, expected: tuple[int, int, int]
) -> None:
    if mode == "I;16":
        Image.fromarray(np.full((6, 8), value, np.uint16)).save(tmp_path / "x.png")
    else:
        Image.new(mode, (8, 6), value).save(tmp_path / "x.png")
    assert colour(tmp_path / "x.png") == expected
    assert read_image(tmp_path / "x.png").size == (8, 6)


def test_cmyk_is_converted(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "x.jpg")
    red, green, blue = colour(tmp_path / "x.jpg")
    assert red > 240
    assert green < 15
    assert blue < 15


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_a_palette_with_transparency_lies_on_white(tmp_path: Path, suffix: str) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([200, 0, 0, 0, 200, 0])
    image.putpixel((0, 0), 0)
    image.save(tmp_path / f"x.{suffix}", transparency=0)
    read = read_image(tmp_path / f"x.{suffix}")
    assert (read.getpixel((0, 0)), read.getpixel((7, 7))) == ((255, 255, 255), (0, 200, 0))


def test_a_greyscale_or_rgb_png_with_a_transparent_colour_lies_on_white(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (9, 8, 7)).save(tmp_path / "rgb.png", transparency=(9, 8, 7))
    Image.new("L", (4, 4), 9).save(tmp_path / "l.png", transparency=9)
    assert colour(tmp_path / "rgb.png") == colour(tmp_path / "l.png") == (255, 255, 255)


@pytest.mark.parametrize("suffix", ["gif", "webp", "tiff"])
def test_of_an_animation_the_first_frame_counts(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (16, 16), c) for c in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    frames[0].save(tmp_path / f"x.{suffix}", save_all=True, append_images=frames[1:])
    red, green, blue = colour(tmp_path / f"x.{suffix}")
    assert red > 230
    assert green < 20
    assert blue < 20


def test_a_picture_turned_by_its_exif_tag_is_read_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (30, 10), "black")
    image.paste("white", (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees
    image.save(tmp_path / "x.png", exif=exif)
    read = read_image(tmp_path / "x.png")
    assert read.size == (10, 30)
    assert (read.getpixel((5, 2)), read.getpixel((5, 28))) == ((255, 255, 255), (0, 0, 0))


def png_header(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    end = b"\0\0\0\0IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + end


def as_bytes(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


BAD: dict[str, tuple[bytes, str]] = {
    "zero.png": (b"", "^empty file$"),
    "text.png": (b"this is a text, not a picture\n" * 10, "^not a picture$"),
    "html.jpg": (b"<!DOCTYPE html><html>404</html>", "^not a picture$"),
    "cut.jpg": (as_bytes(picture(1, (200, 200)), "JPEG")[:2000], "^cannot be decoded "),
    "cut.png": (as_bytes(picture(1), "PNG")[:500], "^cannot be decoded "),
    "header.png": (png_header(64, 64), "^cannot be decoded "),
    "huge.png": (png_header(60_000, 60_000), "^too large: "),
    "large.png": (png_header(12_000, 12_000), "^too large: 12000 x 12000 pixels$"),
    "narrow.png": (as_bytes(Image.new("1", (1, 60_000)), "PNG"), "^too narrow: 1 x 60000 pixels$"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_readable_picture_says_why(tmp_path: Path, name: str) -> None:
    content, reason = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(NegRefineError, match=reason):
        read_image(tmp_path / name)


def test_a_missing_picture_and_a_folder_say_why(tmp_path: Path) -> None:
    with pytest.raises(NegRefineError, match="No such file"):
        read_image(tmp_path / "nowhere.png")
    with pytest.raises(NegRefineError, match="directory"):
        read_image(tmp_path)


def test_odd_metadata_warns_nobody_and_skips_nothing_even_in_many_threads(
    tmp_path: Path, cached: CachedEncoder
) -> None:
    """Warnings are errors in these tests: one that escapes would skip its picture."""
    good = as_bytes(picture(0), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x03")  # an EXIF block cut short
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Image.open(io.BytesIO(good)).getexif()
    assert caught, "this picture should make Pillow warn"
    for i in range(60):
        (tmp_path / f"{i}.jpg").write_bytes(good + bytes([i]))
    before = list(warnings.filters)
    (chunk,) = embed_images(cached, open_image_set(tmp_path), workers=16)
    assert chunk.skipped == ()
    assert warnings.filters == before


# --- embedding -------------------------------------------------------------------------------------------------------


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    folder = write_pictures(tmp_path / "mixed", 6, classes=("cat", "dog"))
    for name, (content, _) in BAD.items():
        (folder / name).write_bytes(content)
    return folder


def test_bad_files_are_skipped_and_listed_and_the_others_embedded_in_order(
    mixed: Path, encoder: OpenClipEncoder, cached: CachedEncoder
) -> None:
    images = open_image_set(mixed)
    (chunk,) = embed_images(cached, images)
    assert {images.paths[i] for i, _ in chunk.skipped} == set(BAD)
    good = [path for path in images.paths if path not in BAD]
    assert [images.paths[i] for i in chunk.indices] == good
    expected = encoder.encode_images([read_image(mixed / path) for path in good])
    torch.testing.assert_close(chunk.features, expected, atol=1e-5, rtol=0)


def test_a_second_pass_equals_the_first_and_embeds_nothing(
    mixed: Path, cached: CachedEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = embed_images(cached, open_image_set(mixed))
    monkeypatch.setattr(OpenClipEncoder, "encode_pixels", never)
    (second,) = embed_images(cached, open_image_set(mixed))
    assert second.features.equal(first.features)
    assert second.indices.tolist() == first.indices.tolist()
    assert second.skipped == first.skipped


def never(*_: object) -> None:
    raise AssertionError("the model was asked for what the cache holds")


def test_features_follow_the_content_and_not_the_name(
    tmp_path: Path, cached: CachedEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_pictures(tmp_path / "set", 3)
    (first,) = embed_images(cached, open_image_set(folder))
    (folder / "000.png").rename(folder / "z.png")
    (folder / "001.png").write_bytes((folder / "002.png").read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr(OpenClipEncoder, "encode_pixels", never)
        (second,) = embed_images(cached, open_image_set(folder))
    assert second.features.equal(first.features[[2, 2, 0]])
    picture(50).save(folder / "z.png")
    (third,) = embed_images(cached, open_image_set(folder))
    assert not third.features[2].equal(first.features[0])


@pytest.mark.parametrize(("chunk_size", "batch_size"), [(4, 3), (3, 64), (1, 1)])
def test_chunks_and_batches_change_nothing(
    mixed: Path,
    encoder: OpenClipEncoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    chunk_size: int,
    batch_size: int,
) -> None:
    images = open_image_set(mixed)
    (whole,) = embed_images(CachedEncoder(encoder, tmp_path / "a"), images)
    monkeypatch.setattr(embedding, "IMAGE_CHUNK", chunk_size)
    monkeypatch.setattr(embedding, "IMAGE_BATCH", batch_size)
    calls: list[tuple[int, int]] = []
    chunks = list(
        embed_images(CachedEncoder(encoder, tmp_path / "b"), images, lambda done, of: calls.append((done, of)), 1)
    )
    assert len(chunks) == -(-len(images) // chunk_size)
    torch.testing.assert_close(torch.cat([c.features for c in chunks]), whole.features, atol=1e-5, rtol=0)
    assert [i for c in chunks for i in c.indices.tolist()] == whole.indices.tolist()
    assert tuple(s for c in chunks for s in c.skipped) == whole.skipped
    assert calls == sorted(calls)
    assert calls[-1] == (len(images), len(images))


def test_after_a_cancel_only_the_missing_pictures_are_embedded(
    tmp_path: Path, cached: CachedEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "IMAGE_BATCH", 4)
    images = open_image_set(write_pictures(tmp_path / "set", 10))

    def cancel(done: int, total: int) -> None:
        if done >= 8:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        list(embed_images(cached, images, cancel))
    sizes: list[int] = []
    plain: Callable[..., torch.Tensor] = OpenClipEncoder.encode_pixels

    def counted(self: OpenClipEncoder, pixels: torch.Tensor) -> torch.Tensor:
        sizes.append(len(pixels))
        return plain(self, pixels)

    monkeypatch.setattr(OpenClipEncoder, "encode_pixels", counted)
    (chunk,) = embed_images(cached, images)
    assert (sum(sizes), len(chunk.indices)) == (2, 10)


def test_a_picture_deleted_while_the_set_is_read_is_skipped(tmp_path: Path, cached: CachedEncoder) -> None:
    images = open_image_set(write_pictures(tmp_path / "set", 3))
    (tmp_path / "set" / "001.png").unlink()
    (chunk,) = embed_images(cached, images)
    assert (chunk.indices.tolist(), chunk.skipped) == ([0, 2], ((1, "No such file or directory"),))


def test_only_unreadable_pictures_give_no_features(tmp_path: Path, cached: CachedEncoder) -> None:
    touch(tmp_path / "set", "a.png", "b.png")
    (chunk,) = embed_images(cached, open_image_set(tmp_path / "set"))
    assert chunk.features.shape == (0, cached.dim)
    assert [reason for _, reason in chunk.skipped] == ["empty file", "empty file"]


def test_a_file_name_that_is_no_text_is_skipped_or_read_but_not_fatal(tmp_path: Path, cached: CachedEncoder) -> None:
    folder = write_pictures(tmp_path / "set", 1)
    os.rename(folder / "000.png", os.fsencode(folder) + b"/caf\xe9.png")
    (chunk,) = embed_images(cached, open_image_set(folder))
    assert len(chunk.indices) + len(chunk.skipped) == 1


def test_images_and_texts_have_stores_of_their_own(tmp_path: Path, cached: CachedEncoder) -> None:
    list(embed_images(cached, open_image_set(write_pictures(tmp_path / "set", 2))))
    store = FeatureStore(cached.folder / "images", cached.dim)
    assert len(store) == 2


@pytest.mark.parametrize("held", [0, 1 << 18])
def test_a_picture_that_changes_between_hashing_and_decoding_leaves_no_feature_under_its_old_content(
    tmp_path: Path, encoder: OpenClipEncoder, cached: CachedEncoder, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr(embedding, "HELD", held)
    folder = write_pictures(tmp_path / "set", 2)
    old, new = (folder / "000.png").read_bytes(), as_bytes(picture(50), "PNG")
    plain = FeatureStore.get

    def changed(self: FeatureStore, keys: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        (folder / "000.png").write_bytes(new)
        return plain(self, keys)

    with monkeypatch.context() as patch:
        patch.setattr(FeatureStore, "get", changed)
        (chunk,) = embed_images(cached, open_image_set(folder))
    expected = encoder.encode_images([read_image(io.BytesIO(content)) for content in (new, old)])
    torch.testing.assert_close(chunk.features[:1], expected[1:] if held else expected[:1], atol=1e-5, rtol=0)
    (folder / "000.png").write_bytes(old)
    (again,) = embed_images(cached, open_image_set(folder))
    torch.testing.assert_close(again.features[:1], expected[1:], atol=1e-5, rtol=0)


def test_a_file_of_absurd_size_and_a_pipe_are_skipped_with_the_reason(tmp_path: Path, cached: CachedEncoder) -> None:
    folder = write_pictures(tmp_path / "set", 1)
    with (folder / "huge.png").open("wb") as file:
        file.truncate(3_000_000_000)  # a hole: it takes no space
    os.mkfifo(folder / "pipe.png")
    (chunk,) = embed_images(cached, open_image_set(folder))
    assert chunk.indices.tolist() == [0]
    assert chunk.skipped == ((1, "too large: 3,000,000,000 bytes, at most 500,000,000"), (2, "not a file"))


def test_a_damaged_image_feature_is_embedded_again(tmp_path: Path, cached: CachedEncoder) -> None:
    images = open_image_set(write_pictures(tmp_path / "set", 3))
    (first,) = embed_images(cached, images)
    with (cached.folder / "images" / "features.f32").open("r+b") as file:
        file.seek(cached.dim * 4)
        file.write(bytes(cached.dim * 4))
    (second,) = embed_images(cached, images)
    torch.testing.assert_close(second.features, first.features, atol=1e-5, rtol=0)


def test_the_features_of_a_whole_set_are_those_of_its_chunks_in_memory_or_in_a_mapped_file(
    tmp_path: Path, encoder: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path / "photos", 3)
    (tmp_path / "photos" / "bad.png").write_bytes(b"no picture")
    cached, image_set = CachedEncoder(encoder, tmp_path / "cache"), open_image_set(tmp_path / "photos")
    (chunk,) = embed_images(cached, image_set)
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    for most in (1 << 20, 0):
        monkeypatch.setattr(feature_store, "IN_MEMORY", most)
        kept, features = embedding.all_features(cached, image_set)
        assert kept.tolist() == chunk.indices.tolist()
        assert features.equal(chunk.features)
        assert embedding.joined([features, features[1:]]).equal(torch.cat([features, features[1:]]))
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [encoder.fingerprint]  # the file has no name
