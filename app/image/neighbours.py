"""The pictures most similar to one image, by the cosine of their CLIP image features."""

import numpy as np
import pandas as pd
import streamlit as st

from negrefine_core.errors import NegRefineError
from negrefine_core.paths import file_state
from negrefine_core.pictures import locate
from negrefine_core.runs import Run

from ..shared import background, errors, features
from ..shared.address import Address, by_address
from ..shared.gallery import image_card, kind, taken_for
from ..shared.scored_images import ScoredImages
from ..shared.view import View

SHOWN = 12
AT_ONCE = 5_000  # more pictures than these are compared at the press of a button: embedding them may take long

HELP = (
    "The nearest pictures of the chosen image sets, by the model’s image features (cosine). Blue: ID. Orange: OOD. The "
    "code says what the threshold makes of each; an image among the other colour is a hard one. Dashed: on the wrong "
    "side."
)
HELP_ALONE = (
    "The nearest pictures of this image set, by the model’s image features (cosine). Blue: taken for one of your "
    "classes. Orange: for none of them. A picture among the other colour is a close call."
)


def similar_pictures(run: Run, view: View, images: ScoredImages, image: pd.Series) -> None:
    st.markdown(
        "**Similar pictures**",
        help=HELP_ALONE if images.is_alone else HELP,
    )
    if len(images.table) > AT_ONCE and not st.session_state.get(f"neighbours_{run.folder}"):
        st.button(
            f"Compare with {len(images.table):,} pictures",
            key=f"neighbours_{run.folder}_go",
            icon=":material/image_search:",
            on_click=lambda: st.session_state.update({f"neighbours_{run.folder}": True}),
            help="Pictures whose features are not kept yet are embedded first, which may take minutes.",
        )
        return
    try:
        found = _found(run, images, image)
    except NegRefineError as error:
        errors.show(error, "info")
        return
    if found is None:
        return
    table = by_address(images.table)
    near = found[found.index.isin(table.index)]
    shown = table.loc[near.index].assign(cosine=near)
    with st.container(key="gallery_similar"):
        for position, (_, row) in enumerate(shown.iterrows()):
            wrong = row["outcome"] in ("FP", "FN")
            said = taken_for(row, row["outcome"] == "IN") if images.is_alone else row["outcome"]
            with st.container(key=f"card_{kind(row)}_{'wrong' if wrong else 'right'}_{position}"):
                image_card(run, view, images, row, f"**{row['cosine']:.2f}** · {said}")


def _found(run: Run, images: ScoredImages, image: pd.Series) -> pd.Series | None:
    """The cosine of the nearest pictures by address; None and a sign of work under way."""
    file = locate(run, image["image_set"], image["path"])
    names = images.sets.names
    key = ("neighbours", run.state(scores=names), str(file), file_state(file))
    address = str(Address.of(image))
    return background.result(key, lambda: _nearest(run, names, address), "Comparing the pictures")


def _nearest(run: Run, names: tuple[str, ...], address: str) -> pd.Series:
    sets = [features.image_features(run, name) for name in names]
    places = [place for each in sets for place in each.addresses]
    vectors = np.concatenate([each.features.numpy() for each in sets])  # (B, D)
    if address not in places:
        raise NegRefineError("This picture cannot be read any more, so nothing can be compared with it.")
    cosine = vectors @ vectors[places.index(address)]  # (B,)
    nearest = np.argsort(-cosine, kind="stable")[: SHOWN + 1]
    return pd.Series(cosine[nearest], index=[places[i] for i in nearest]).drop(address, errors="ignore")[:SHOWN]
