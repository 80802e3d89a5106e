"""Pictures for a screen or a notebook: found only below their image set's folder, and made small."""

import base64
import io
from pathlib import Path

from PIL import Image

from ..errors import NegRefineError
from ..image_sets import read_image, upright_rgb
from ..runs import Run

THUMBNAIL = 160  # pixels, twice what is drawn: sharp on a dense screen


def locate(run: Run, image_set: str, path: str) -> Path:
    """The picture's file. A run's tables may come from elsewhere, so a path that leaves the set's folder is refused.

    Raises NegRefineError when the path leaves the folder or the file is gone.
    """
    root = run.image_root(image_set)
    if not belongs(run, image_set, path):
        raise NegRefineError(f"{path!r} lies outside the image set's folder and is not shown")
    try:
        if not (root / path).is_file():
            raise NegRefineError(f"the file is no longer there: {path!r} in {root}")
    except (OSError, ValueError) as error:
        raise NegRefineError(f"{path!r} is not a path") from error
    return root / path


def belongs(run: Run, image_set: str, path: str) -> bool:
    """Whether a path of a run's table leads to a picture of its set, as far as a run from elsewhere can be believed.

    No set is the whole disk or named by a way up. Links in a person's own folder of pictures may lead anywhere; those
    in the run's folder came with the run, and must stay in it.
    """
    root = run.image_root(image_set)
    if root == Path(root.anchor) or ".." in (*root.parts, *path.split("/")) or path.startswith("/"):
        return False
    own = run.folder.resolve()
    try:
        return not root.resolve().is_relative_to(own) or (root / path).resolve().is_relative_to(own)
    except (OSError, ValueError, RuntimeError):  # RuntimeError: links in a circle
        return False


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
