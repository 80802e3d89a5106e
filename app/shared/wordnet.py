"""The bundled WordNet, opened once for all pages."""

import threading

import streamlit as st

from negrefine_core.lexicon import WordNet

WORDNET_LOCK = threading.Lock()  # nltk reads its files at one position for all threads


@st.cache_resource(show_spinner=False)
def wordnet() -> WordNet:
    """Ask it under WORDNET_LOCK."""
    return WordNet()
