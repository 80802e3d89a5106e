"""A paged gallery of thumbnails, each a link that opens its Image page."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pandas as pd
import streamlit as st

from negrefine_core.operating_point import BY_CODE
from negrefine_core.runs import Run

from . import links
from .address import Address
from .pictures import thumbnail
from .scored_images import ScoredImages
from .view import View, change
from .words import plain, plural

PAGE_SIZE = 24


def image_gallery(
    run: Run,
    view: View,
    images: ScoredImages,
    shown: np.ndarray,
    words: Callable[[pd.Series], str] | None = None,
    note: str = "",
) -> None:
    """One page of the images shown, which are at these places of the table; `words` says of each what its score and
    outcome say otherwise, and `note`, after their number, which they are."""
    page = min(view.page, _pages(len(shown)))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        _turns(view, page, len(shown), "page")
        first, last = (page - 1) * PAGE_SIZE + 1, min(page * PAGE_SIZE, len(shown))
        st.markdown(f"{first:,} – {last:,} of **{len(shown):,}** {plural(len(shown), 'image')}{note}")
    start = (page - 1) * PAGE_SIZE
    with st.container(key="gallery"):
        for position, (_, image) in enumerate(images.rows(run, shown[start : start + PAGE_SIZE]).iterrows()):
            with st.container(key=f"card_{kind(image)}_{position}"):
                image_card(run, view, images, image, words(image) if words else None)
    if _pages(len(shown)) > 1:
        with st.container(horizontal=True, gap="small"):
            _turns(view, page, len(shown), "page_below")


def _pages(total: int) -> int:
    return max(1, -(-total // PAGE_SIZE))


def _turns(view: View, page: int, total: int, key: str) -> None:
    """To the page before and the one after."""
    for icon, words, step in (("chevron_left", "Previous page", -1), ("chevron_right", "Next page", 1)):
        st.button(
            f":material/{icon}:",
            key=f"{key}{step}",
            help=words,
            disabled=not 0 < (page + step) <= _pages(total),
            on_click=change,
            args=(view,),
            kwargs={"page": page + step},
        )


def image_card(run: Run, view: View, images: ScoredImages, image: pd.Series, words: str | None = None) -> None:
    """One picture, its class and score or other words; the whole card is the link."""
    name = described(image)
    small = thumbnail(run, image["image_set"], image["path"])
    picture = f"![{plain(name)}]({small})" if small else ":material/broken_image:"
    near = f"similarity **{image['similarity']:.1f}**  \n" if "similarity" in image else ""
    words = words or f"{near}**{images.text(image[images.score.column])}** · {_said_of(image)}"
    st.page_link(
        links.page("image"),
        icon="",  # the picture itself, and not the page's
        label=f"{picture} {plain(name)}  \n{words}",
        query_params=view.query(image=str(Address.of(image)), back=_opened_from(view), off="", off_ids=""),
        width="stretch",
    )


def _opened_from(view: View) -> str:
    """The page of this gallery, where Back leads; the Image page's own gallery leads back to where it came from."""
    here = str(st.session_state["page"])
    return view.back if here == "image" else here


def kind(image: pd.Series) -> Literal["id", "ood"]:
    """The colour of its card: what it shows, or what it is taken for where nobody knows."""
    inside = image["is_id"] if "is_id" in image else BY_CODE[image["outcome"]].accepted
    return "id" if inside else "ood"


def _said_of(image: pd.Series) -> str:
    """Its outcome and the class it is taken for; of a picture of which nobody knows what it shows why, too, and what a
    person marked it as."""
    accepted = BY_CODE[image["outcome"]].accepted
    if "is_id" in image:
        return f"{image['outcome']} → *{plain(str(image['id_labels'][0]))}*" if accepted else str(image["outcome"])
    mark = f" · :material/bookmark: {image['marked']}" if image["marked"] else ""
    return f"{taken_for(image, accepted)}{mark}  \n{reasons(image)}"


def taken_for(image: pd.Series, accepted: bool) -> str:
    """What a threshold takes a picture for, in words that need no truth."""
    return f"looks like *{plain(str(image['id_labels'][0]))}*" if accepted else "none of your classes"


def reasons(image: pd.Series) -> str:
    """The ID label and the negative that it is most similar to."""
    sides = ((image["id_labels"], image["id_sims"]), (image["negative_labels"], image["negative_sims"]))
    return " against ".join(f"“{plain(str(names[0]))}” {values[0]:.1f}" for names, values in sides if len(names))


def described(image: pd.Series) -> str:
    """A picture in words: its class where a folder below the set's own names one, else its file's name."""
    kind, file = image["class"], str(image["path"]).rsplit("/", 1)[-1]
    return kind if isinstance(kind, str) and kind not in ("", image["image_set"]) else file
