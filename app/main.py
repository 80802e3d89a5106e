"""The app's navigation: `streamlit run app/main.py`."""

from pathlib import Path

import streamlit as st
from negrefine_app.classes.page import classes
from negrefine_app.compare.page import compare
from negrefine_app.explore.page import explore
from negrefine_app.image.page import image
from negrefine_app.judges.page import judges
from negrefine_app.learn.page import learn
from negrefine_app.review.page import review
from negrefine_app.score.page import score
from negrefine_app.shared import collector, links, login
from negrefine_app.start.page import start

ICON = Path(__file__).with_name("icon.svg").read_text(encoding="utf-8")  # a local one: named icons need the network

PAGES = {
    start: ("Start", "home"),
    explore: ("Explore", "bar_chart"),
    image: ("Image", "image"),
    review: ("Review", "rate_review"),
    judges: ("Judges", "gavel"),
    compare: ("Compare", "compare_arrows"),
    classes: ("ID classes", "label"),
    score: ("Score", "play_circle"),
    learn: ("Learn", "school"),
}

collector.install()
st.set_page_config(page_title="NegRefine Explorer", page_icon=ICON, layout="wide")
links.register(
    {
        page.__name__: st.Page(
            page, title=title, icon=f":material/{icon}:", url_path=page.__name__, default=page is start
        )
        for page, (title, icon) in PAGES.items()
    }
)
page = st.navigation(links.all_pages())
if login.admitted():
    login.offer_logout()
    page.run()
