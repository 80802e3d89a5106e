"""Where links lead: the app's pages by name, so that a page can lead to another without importing it."""

from collections.abc import Mapping
from typing import Literal

import streamlit as st
from streamlit.navigation.page import StreamlitPage

PageName = Literal["start", "explore", "image", "review", "judges", "compare", "classes", "score", "learn"]
_pages: dict[str, StreamlitPage] = {}


def register(pages: Mapping[str, StreamlitPage]) -> None:
    """Keep the pages of the navigation, which alone imports them all."""
    _pages.update(pages)


def all_pages() -> list[StreamlitPage]:
    """In the menu's order."""
    return list(_pages.values())


def next_action(name: PageName, label: str, icon: str, query: Mapping[str, str]) -> None:
    """The one next action of a page where that is another page: a link that looks like the button it is."""
    with st.container(key=f"door_{name}", width="content"):
        st.page_link(page(name), label=label, icon=icon, query_params=dict(query))


def page(name: PageName) -> StreamlitPage:
    """What `st.page_link` leads to."""
    return _pages[name]
