"""Start: what the product is, in one sentence and a picture, and the four doors that lead into it."""

import streamlit as st

from negrefine_core import paths
from negrefine_core.errors import NegRefineError
from negrefine_core.operating_point import YOUDEN
from negrefine_core.run_files.bundled import BUNDLED_RUN, PUBLISHED_RUN, STORY_RUN
from negrefine_core.runs import Run

from ..shared import errors, frame, links
from ..shared.job_panel import jobs_in_sidebar
from ..shared.links import PageName
from ..shared.unlike_paper import unlike_paper
from ..shared.view import View, nowhere

SHOWN = {  # bundled pictures: the class that the bundled run takes each for, or none
    "animals/owl/1f989_new.png": "owl",
    "animals/penguin/1f427_new.png": "penguin",
    "animals/cat/1f408_new.png": "cat",
    "food/sushi/1f363_new.png": "",
    "vehicles/rocket/1f680_new.png": "",
    "objects/guitar/1f3b8_new.png": "",
}


def start() -> None:
    """Draw the page. Links made while Explore stood at this address, with a run or a view in them, still lead there."""
    if query := st.query_params.to_dict():
        st.switch_page(links.page("explore"), query_params=query)
    frame.head("Start")
    st.title("NegRefine Explorer")
    errors.show_trouble("Start")
    _what_it_is()
    runs = frame.known_runs()
    if runs:
        jobs_in_sidebar(nowhere("start"))
    st.space("small")
    for row in ((_story, _own_pictures), (_published, _learn)):
        for column, door in zip(st.columns(2), row, strict=True):
            with column.container(border=True, height="stretch"):
                door(runs)


def _what_it_is() -> None:
    st.markdown(
        "Is this picture one of **your classes**, or something else? A CLIP model answers without any training, "
        "by your class names and thousands of *negative labels*, and here you see the reasons behind every answer."
    )
    with st.container(horizontal=True, key="start_pictures"):
        for path, name in SHOWN.items():
            with st.container(width=92, gap="xxsmall"):
                st.image(str(paths.IMAGES / path), width=80, alt=f"A drawing: {path.split('/')[1]}")
                st.markdown(f":blue-badge[:material/check: {name}]" if name else ":orange-badge[:material/close: none]")


def _story(runs: list[str]) -> None:
    _words(
        "A finished story",
        "auto_stories",
        "Two broad classes, food and drink, against animals, plants and things. Without the filter a lemon loses to "
        "“lemon”: which pictures that costs, and what the judge took out.",
    )
    if runs:
        run = STORY_RUN if STORY_RUN in runs else runs[0]
        if words := _unlike_paper(run):
            st.caption(words)
        _door("compare", "Open the finished run", run=run, first="csp", second="neglabel", threshold=YOUDEN)
    else:
        st.caption("There is no finished run yet. This makes one of the bundled model and pictures:")
        st.code(frame.MAKE_RUN, language="bash")


def _own_pictures(runs: list[str]) -> None:
    _words(
        "Your own pictures",
        "add_photo_alternate",
        "Name your classes, let the negative labels be mined and refined, then score a folder of pictures. Which model "
        "suits photographs stands beside it.",
    )
    if runs:
        run = BUNDLED_RUN if BUNDLED_RUN in runs else runs[0]
        _door("classes", "Name your classes", run=run, begin="own")
    else:
        st.caption("It starts from a finished run: make that one first.")


def _published(runs: list[str]) -> None:
    _words(
        "Published decisions",
        "rate_review",
        "What a real language model threw out for the 1,000 classes of ImageNet, rightly and wrongly: “common sage” as "
        "a kind of “safe”.",
    )
    if PUBLISHED_RUN in runs:
        _door("review", "Review its decisions", run=PUBLISHED_RUN)
    else:
        st.caption("They come with the project, and are missing here: install it again.")


def _learn(runs: list[str]) -> None:
    _words("Learn", "school", "The method in six short steps, each with figures and pictures that you can change.")
    if runs:
        _door("learn", "Begin with step 1", run=STORY_RUN if STORY_RUN in runs else runs[0])
    else:
        st.caption("It walks through a finished run: make that one first.")


def _unlike_paper(run: str) -> str:
    """Nothing of a run that is damaged: its own pages say what to do about it."""
    try:
        return unlike_paper(Run.open(run).settings)
    except NegRefineError:
        return ""


def _words(title: str, icon: str, text: str) -> None:
    st.subheader(f":material/{icon}: {title}", anchor=False)
    st.markdown(text)


def _door(page: PageName, words: str, **query: str) -> None:
    """The way in, at the foot of its card."""
    st.space("stretch")
    with st.container(key=f"door_{page}"):
        st.page_link(links.page(page), label=words, icon=":material/arrow_forward:", query_params=View().query(**query))
