"""The app's navigation: `streamlit run app/main.py`."""

from pathlib import Path

import streamlit as st

ICON = Path(__file__).with_name("icon.svg").read_text(encoding="utf-8")  # a local one: named icons need the network

st.set_page_config(page_title="NegRefine Explorer", page_icon=ICON, layout="wide")
st.navigation(
    [
        st.Page("pages/explore.py", title="Explore", icon=":material/bar_chart:", url_path="explore", default=True),
        st.Page("pages/image.py", title="Image", icon=":material/image:", url_path="image"),
    ]
).run()
