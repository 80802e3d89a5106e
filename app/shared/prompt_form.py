"""The choice of the words in which a language model is asked: the sets, a set of one's own, and what is then sent."""

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from negrefine_core.errors import NegRefineError
from negrefine_core.judge import JudgeIdentity, Question
from negrefine_core.judges.prompt_book import PromptBook, keep
from negrefine_core.judges.wording import Glossary, Wording
from negrefine_core.prompts import BUILT_IN, PAPER, PromptSet, with_examples
from negrefine_core.runs import Run

from . import errors
from .clicks import clicked
from .judge_key import kept_form
from .judge_widgets import widget
from .wordnet import WORDNET_LOCK, wordnet
from .words import plain

SETS = {
    "paper": "Paper: word for word",
    "glossed": "Glossed: with both words’ meanings",
    "examples": "Examples: with decisions of yours",
}
TEXTS = {"system": "System message", "proper_noun": "Is it a proper noun?", "subcategory": "Is it a subcategory?"}
PLACEHOLDERS = (
    "{negative} and {id_label} stand for the two words and are needed where they belong; {negative_meaning} and "
    "{id_meaning} for their definitions in WordNet."
)


def first_prompts(run: Run) -> str:
    """The name of the set that the run was asked in, with which the form begins."""
    version = JudgeIdentity.parse(run.judge).prompts
    return next((prompts.name for prompts in PromptBook.of(run).sets if prompts.version == version), PAPER.name)


def prompt_form(run: Run) -> PromptSet | None:
    """The set to ask in, with the decisions that it shows; None where it cannot be."""
    book = PromptBook.of(run)
    name = widget(
        st.selectbox,
        "Words of the questions",
        "prompts",
        PAPER.name,
        options=[prompts.name for prompts in book.latest],
        format_func=lambda name: SETS.get(name, f"{name} (your own)"),
        help="Each answer is kept with the words it was given to: the answers to one set never stand for another’s.",
    )
    chosen = book.named(name)
    with st.expander("The words, and what is sent"):
        shown = _edited(run, book, chosen)
        is_changed = shown is None or replace(shown, examples=()) != replace(chosen, examples=())
        if shown:
            _preview(run, shown, "**What would be sent** once they are kept" if is_changed else "**What is sent**")
    if is_changed:
        _unkept(chosen, can_be=shown is not None)
        return None
    try:
        ready = with_examples(chosen, book.decided)
    except NegRefineError as error:
        errors.show(error, "info")
        return None
    kept_form()["ready"] = ready  # a panel may ask in these words too
    return ready


def _edited(run: Run, book: PromptBook, chosen: PromptSet) -> PromptSet | None:
    """The set with what was changed in its words, which can be kept as a set of one's own; None where it cannot be."""
    _begin(chosen)
    texts = {
        field: widget(st.text_area, label, f"prompt_{field}", "", height="content") for field, label in TEXTS.items()
    }
    st.caption(plain(PLACEHOLDERS))
    left, middle, right = st.columns([2, 2, 2], vertical_alignment="bottom")
    is_structured = widget(
        left.toggle,
        "Yes or No alone",
        "prompt_is_structured",
        False,
        help="Asks the server to allow these two answers alone, where it can; where it refuses, it is asked without.",
    )
    shows = widget(
        left.number_input,
        "Decisions of yours shown",
        "prompt_shows",
        0,
        min_value=0,
        max_value=40,
        help="At most so many of what you decided in Review, on questions of the same kind, and never the one on the "
        "word that is asked about.",
    )
    own = widget(
        middle.text_input,
        "Name of your own set",
        "prompt_name",
        "",
        max_chars=40,
        placeholder="small letters and digits",
    ).strip()
    try:
        words = replace(chosen, **texts, is_structured=is_structured, shows=int(shows), examples=())
        named = replace(words, name=own) if own else words
    except NegRefineError as error:
        errors.show(error)
        return None
    with right:
        is_asked = clicked(
            "Keep this set",
            "keep_prompts",
            icon=":material/save:",
            type="secondary",
            disabled=not own or named in book.sets,
            help="In this run, and in those made from it. Under a name that is taken, the new words count from now on.",
        )
    if is_asked:
        try:
            keep(run, named)
        except NegRefineError as error:
            errors.show(error)
            return None
        kept_form()["prompts"] = own
        st.rerun()
    try:
        return with_examples(words, book.decided)
    except NegRefineError:
        return words


def _unkept(chosen: PromptSet, can_be: bool) -> None:
    """Why nothing can be asked while the words are changed, and the way back."""
    todo = "Keep them under a name of your own" if can_be else "Mend what is said above"
    st.info(
        f"The words are changed and not kept, so nothing is asked in them yet. {todo}, or put back those of "
        f"“{plain(chosen.name)}”.",
        icon=":material/edit:",
    )
    if clicked("Put the words back", "put_back", icon=":material/undo:", type="secondary"):
        kept_form().pop("prompt_of", None)
        st.rerun()


def _begin(chosen: PromptSet) -> None:
    """Another set's words go into the fields; what is typed there stays until another is chosen."""
    kept = kept_form()
    if kept.get("prompt_of") == chosen.version:
        return
    fields = (*TEXTS, "is_structured", "shows")
    kept |= {f"prompt_{field}": getattr(chosen, field) for field in fields}
    kept |= {"prompt_of": chosen.version, "prompt_name": "" if chosen.name in BUILT_IN else chosen.name}


def _preview(run: Run, prompts: PromptSet, title: str) -> None:
    """What the model is told about an example pair."""
    st.markdown(f"{title}, for this pair:")
    left, right = st.columns(2)
    negative, id_label = _example(run)
    negative = widget(left.text_input, "Negative", f"prompt_negative_{run.name}", negative, max_chars=80)
    labels = run.id_labels
    id_label = widget(right.selectbox, "ID class", f"prompt_class_{run.name}", id_label, options=labels)
    for question in (Question(negative, "proper noun"), Question(negative, "subcategory", id_label)):
        st.caption(f"Sent to ask whether it is a {question.kind}")
        st.code(_sent(run, prompts, question, labels), language=None, wrap_lines=True)


def _sent(run: Run, prompts: PromptSet, question: Question, labels: Sequence[str]) -> str:
    wording = Wording(prompts, Glossary(labels, wordnet()))
    if prompts.tells_meanings:
        with WORDNET_LOCK, st.spinner("Looking the words up in WordNet"):
            messages = wording.messages(question)
    else:
        messages = wording.messages(question)
    return "\n\n".join(f"{message['role']}: {message['content']}" for message in messages)


def _example(run: Run) -> tuple[str, str]:
    """A pair that was rejected as a subcategory, else the first negative and the first class."""
    rejections = run.rejections.values() if run.is_refined else []
    pairs = [(v.negative, v.id_label) for v in rejections if v.kind == "subcategory" and v.id_label]
    first = run.initial_negatives[0].label if run.initial_negatives else ""
    return pairs[0] if pairs else (first, run.id_labels[0])
