"""Pictures for a screen or a notebook, made small."""

import base64
import io
from pathlib import Path

from PIL import Image

from ..image_sets import read_image, upright_rgb

THUMBNAIL = 160  # pixels, twice what is drawn: sharp on a dense screen


def shrunk(image: str | Path | Image.Image, edge: int) -> bytes:
    """A picture at most `edge` pixels wide and high, as WEBP. Raises NegRefineError where it cannot be read."""
    picture = upright_rgb(image) if isinstance(image, Image.Image) else read_image(image)
    picture.thumbnail((edge, edge), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=85)
    return buffer.getvalue()


def data_uri(webp: bytes) -> str:
    """A picture that stands in the page itself."""
    return "data:image/webp;base64," + base64.b64encode(webp).decode()
