"""Generated pictures: as images, as encoded bytes, in folders, in zips, and one that is hostile; real photographs."""

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, size: tuple[int, int] = (40, 32)) -> Image.Image:
    """A noisy picture of one colour: the seeds' features differ."""
    generator = np.random.default_rng(seed)
    colour = generator.integers(0, 200, 3)
    noise = generator.integers(0, 56, (size[1], size[0], 3))
    return Image.fromarray((colour + noise).astype(np.uint8))


def write_pictures(folder: Path, count: int, first_seed: int = 0, classes: tuple[str, ...] = ()) -> Path:
    """`count` PNG files below `folder`, in turn in each class folder if classes are given."""
    for i in range(count):
        parent = folder / classes[i % len(classes)] if classes else folder
        parent.mkdir(parents=True, exist_ok=True)
        picture(first_seed + i).save(parent / f"{i:03}.png")
    return folder


def photographs() -> Path:
    """The folder of ten real photographs, unsorted; photographs.md beside it says what they show and their licences."""
    return Path(__file__).with_name("photographs")


def encoded(image: Image.Image, file_format: str = "PNG") -> bytes:
    """The image as a file's content."""
    buffer = io.BytesIO()
    image.save(buffer, file_format)
    return buffer.getvalue()


def png(seed: int = 0) -> bytes:
    """A seed's picture as a PNG file's content."""
    return encoded(picture(seed))


def zipped(members: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    """A zip of these names and contents; names are written as they are, however hostile."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return buffer


def huge_png() -> bytes:
    """A picture of 30,000 x 30,000 pixels in 100 kB."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(30_000 * (1 + 30_000 // 8)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
