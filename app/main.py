"""The app's navigation: `streamlit run app/main.py`."""

from pathlib import Path

import streamlit as st

ICON = Path(__file__).with_name("icon.svg").read_text(encoding="utf-8")  # a local one: named icons need the network

st.set_page_config(page_title="NegRefine Explorer", page_icon=ICON, layout="wide")
st.navigation(
    [
        st.Page("pages/explore.py", title="Explore", icon=":material/bar_chart:", url_path="explore", default=True),
        st.Page("pages/image.py", title="Image", icon=":material/image:", url_path="image"),
        st.Page("pages/review.py", title="Review", icon=":material/rate_review:", url_path="review"),
        st.Page("pages/compare.py", title="Compare", icon=":material/compare_arrows:", url_path="compare"),
        st.Page("pages/classes.py", title="ID classes", icon=":material/label:", url_path="classes"),
        st.Page("pages/score.py", title="Score", icon=":material/play_circle:", url_path="score"),
        st.Page("pages/learn.py", title="Learn", icon=":material/school:", url_path="learn"),
    ]
).run()
