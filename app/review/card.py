"""The card of one negative: what it means, what the judge was asked and said, and what speaks against the verdict."""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from negrefine_core.judge import JudgeIdentity
from negrefine_core.lexicon import Sense
from negrefine_core.overrides import KEPT
from negrefine_core.records import Verdict
from negrefine_core.runs import Run

from ..shared.wordnet import WORDNET_LOCK, wordnet
from ..shared.words import plain
from .queue import Judged
from .why import why

SENSES = 2  # shown of a word, the most frequent first
LEVELS = 5  # of the hypernyms, the nearest
ANSWERS = {"yes": ":red-badge[yes]", "no": ":gray-badge[no]", "unclear": ":orange-badge[unclear]"}
P_YES_FROM = {
    "first token": ". P(yes): yes against no by the log-probabilities of the reply’s first token",
    "votes": ". P(yes): the share of the panel that said yes",
}
CHAIN_HELP = (
    "The judge’s questions on this label, in order: whether it is a proper noun, then whether it is a subcategory of "
    "one of the 10 nearest ID classes. The first yes rejects it and ends the questions. An unclear reply counts as no. "
    "The questions are the paper’s, with its own misspelling “subcatgeory”, unless the judge names another prompt set."
)


@dataclass(frozen=True)
class Word:
    """A word on the card, and the place that waits for its definitions; `usual_file` as in `Judged`."""

    place: DeltaGenerator
    word: str
    usual_file: str = ""


def negative_card(run: Run, judged: Judged, row: pd.Series) -> list[Word]:
    """What the decision rests on: the doubt, and the two words side by side, their definitions still to come."""
    asked = _deciding(row, judged.chains.get(row["label"], []))
    _doubt(row, asked)
    left, right = st.columns(2, gap="small")
    with left.container(border=True, height="stretch", gap="xsmall"):
        words = [Word(_word("Negative label", row["label"]), row["label"])]
    with right.container(border=True, height="stretch", gap="xsmall"):
        if asked and asked.id_label:
            place = _word("ID class" if row["kind"] else "Nearest ID class", asked.id_label)
            words.append(Word(place, asked.id_label, judged.usual_file))
        else:
            _said(asked)
    return words


def _deciding(row: pd.Series, chain: list[Verdict]) -> Verdict | None:
    """The verdict that rejected the negative; of a kept one the question on its nearest ID class."""
    if row["kind"]:
        return chain[-1] if chain else None
    return next((verdict for verdict in chain if verdict.id_label), chain[0] if chain else None)


def _word(role: str, word: str) -> DeltaGenerator:
    st.caption(role)
    st.markdown(f"#### {plain(word)}")
    return st.container(gap="xsmall")


def definitions(words: Iterable[Word]) -> None:
    """WordNet's definitions of the words on the card: the first of them waits for WordNet."""
    for word in words:
        with word.place:
            _definitions(word.word, word.usual_file)


def _definitions(word: str, usual_file: str) -> None:
    """A word's senses, those first that the other ID classes suggest by sharing their lexicographer file."""
    senses = _senses(word, usual_file)
    if not senses:
        st.caption("WordNet does not have this word.")
    for sense in senses[:SENSES]:
        above = sense.hypernyms[:-1][-LEVELS:]
        path = ("… › " if len(sense.hypernyms) - 1 > LEVELS else "") + " › ".join(plain(part) for part in above)
        name = " :gray-badge[name]" if sense.is_instance else ""
        is_likely = len(senses) > 1 and sense.file == usual_file
        meant = ":blue-badge[likely meant] " if is_likely else ""
        st.markdown(f"{meant}{plain(sense.definition)}{name}" + (f"  \n:small[:gray[{path}]]" if above else ""))
    if len(senses) > SENSES:
        more = len(senses) - SENSES
        st.caption("and 1 more sense" if more == 1 else f"and {more} more senses")


@st.cache_data(max_entries=20_000, show_spinner="Looking it up in WordNet")
def _senses(word: str, usual_file: str) -> tuple[Sense, ...]:
    with WORDNET_LOCK:
        return tuple(wordnet().senses(word, usual_file))


def _said(asked: Verdict | None) -> None:
    """What the judge said, where there is no ID class to compare with."""
    st.caption("What the judge said")
    if asked is None:
        st.markdown("Nothing: it was not asked about this label.")
        return
    st.markdown("#### Proper noun" if asked.answer == "yes" else "#### No proper noun")
    st.markdown(f"“{plain(asked.prompt)}”")
    st.markdown(f"Reply: {_reply(asked)} {ANSWERS[asked.answer]}")


def _doubt(row: pd.Series, asked: Verdict | None) -> None:
    """The suspicion in one sentence, and how near CLIP finds the two."""
    similarity = asked.similarity if asked and asked.similarity is not None else None
    near = ""
    if similarity is not None:
        near = f" CLIP similarity of the two: **{100 * similarity:.1f}** (100 × cosine; any two words come out high)."
    if row["suspicion"] > 0:
        st.warning(f"{plain(row['why'])}{near}", icon=":material/help:")
    else:
        kept = "Kept" if row["verdict"] == KEPT else "Rejected"
        what = {"": "", "same": " as equal to an ID class"}.get(row["kind"], f" as a {row['kind']}")
        st.info(f"{kept}{what}; nothing speaks against it.{near}", icon=":material/check:")


def asked_questions(run: Run, judged: Judged, row: pd.Series) -> None:
    """The whole chain of questions with the raw replies, and what other judges and WordNet say to each."""
    judge, asked = run.judge, [v for v in judged.chains.get(row["label"], []) if v.prompt]
    st.markdown("**What the judge was asked**", help=CHAIN_HELP)
    if not asked:
        same = row["kind"] == "same"
        st.caption("Nothing: the label equals an ID class." if same else "Nothing: it was not asked about this label.")
        return
    others = _columns({v.judge for verdict in asked for v in judged.others.get(verdict.subject, [])})
    rows = []
    for verdict in asked:
        cells = {"Question": plain(verdict.prompt), "Reply": _reply(verdict), "Answer": ANSWERS[verdict.answer]}
        if verdict.p_yes is not None:
            cells["P(yes)"] = f"{100 * verdict.p_yes:.0f}%"
        if all(JudgeIdentity.parse(name).kind != "wordnet" for name in (judge, *others)):
            cells["WordNet"] = _wordnet_view(verdict.negative, verdict.id_label)
        for other, column in others.items():
            answers = [v.answer for v in judged.others.get(verdict.subject, []) if v.judge == other]
            cells[column] = ANSWERS[answers[-1]] if answers else "–"
        if verdict.similarity is not None:
            cells["CLIP similarity"] = f"{100 * verdict.similarity:.1f}"
        rows.append(cells)
    table = pd.DataFrame(rows).fillna("")
    st.table(table.set_index("Question"), border="horizontal")
    last = asked[-1]
    when = f", {plain(last.time[:10])}" if last.time else ""
    model = f" ({plain(last.model)})" if last.model else ""
    st.caption(f"Judge: {plain(run.judge_name(judge))}{model}{when}{P_YES_FROM.get(last.p_yes_from or '', '')}")
    decided = _deciding(row, asked)
    if decided:
        why(run, [decided, *judged.others.get(decided.subject, [])])


def _columns(judges: set[str]) -> dict[str, str]:
    """The head of each other judge's column: short where that tells it from the others."""
    short = {judge: plain(JudgeIdentity.parse(judge).short) for judge in sorted(judges)}
    taken = list(short.values())
    return {judge: name if taken.count(name) == 1 else plain(judge) for judge, name in short.items()}


def _reply(verdict: Verdict) -> str:
    """The raw reply; the published logs keep only what was made of it."""
    return plain(verdict.reply[:200]) or ":gray[not kept]"


@st.cache_data(max_entries=100_000, show_spinner=False)
def _wordnet_view(negative: str, id_label: str | None) -> str:
    """What WordNet would answer: – where it does not have the words."""
    with WORDNET_LOCK:
        known = wordnet()
        if not known.is_noun(negative) or (id_label and not known.is_noun(id_label)):
            return "–"
        yes = known.is_subcategory(negative, id_label) if id_label else known.is_proper_noun(negative)
    return ANSWERS["yes" if yes else "no"]
