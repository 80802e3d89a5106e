"""What the Image page shows, beyond what all pages share."""

from dataclasses import dataclass

from ..shared.view import View, lines


@dataclass(frozen=True)
class ImageView(View):
    """The ID labels and the negatives that are switched off."""

    off_ids: tuple[str, ...] = lines()
    off: tuple[str, ...] = lines()
