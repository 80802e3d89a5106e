"""The pictures most similar to one image, by the cosine of their CLIP image features."""

import pandas as pd
import streamlit as st

from negrefine_core.errors import NegRefineError
from negrefine_core.runs import Run
from negrefine_core.scoring import LOGIT_SCALE

from ..shared import errors, links
from ..shared.address import Address, by_address
from ..shared.gallery import image_card, kind, taken_for
from ..shared.scored_images import ScoredImages
from ..shared.search import similarities
from ..shared.view import ALL_IMAGES, View

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
    address = str(Address.of(image))
    try:
        found = similarities(run, images.sets.names, like=address)
    except NegRefineError as error:
        errors.show(error, "info")
        return
    if found is None:
        return
    nearest = found.drop(address, errors="ignore").sort_values(ascending=False, kind="stable")[:SHOWN]
    index = pd.Index(by_address(images.table).index)
    near = nearest[nearest.index.isin(index)]
    shown = images.rows(run, index.get_indexer_for(near.index)).assign(cosine=near.to_numpy() / LOGIT_SCALE)
    with st.container(key="gallery_similar"):
        for position, (_, row) in enumerate(shown.iterrows()):
            wrong = row["outcome"] in ("FP", "FN")
            said = taken_for(row, row["outcome"] == "IN") if images.is_alone else row["outcome"]
            with st.container(key=f"card_{kind(row)}_{'wrong' if wrong else 'right'}_{position}"):
                image_card(run, view, images, row, f"**{row['cosine']:.2f}** · {said}")
    query = view.query(**ALL_IMAGES | {"like": address, "sort": "similar", "image": "", "back": "explore"})
    st.page_link(
        links.page("explore"), label="More like this in Explore", icon=":material/image_search:", query_params=query
    )
