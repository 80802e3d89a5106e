"""Two judges on the same questions: how often they agree, and where they do not."""

from dataclasses import dataclass
from functools import partial

import pandas as pd
import streamlit as st

from negrefine_core.judges.agreement import Agreement, compare_judges, second_opinion
from negrefine_core.judges.wordnet import WordNetJudge
from negrefine_core.records import Verdict
from negrefine_core.runs import Run

from ..shared import background, links
from ..shared.cached import cached_by
from ..shared.review_link import review_column, review_url
from ..shared.view import bound
from ..shared.wordnet import WORDNET_LOCK
from ..shared.words import percent, plain
from .labels import search
from .sides import other_runs
from .view import CompareView

KINDS = {"proper noun": "Is it a proper noun?", "subcategory": "Is it a subcategory of an ID class?"}
WORDNET, AT = "wordnet", " @ "
KAPPA = (
    "Cohen’s kappa: agreement beyond what two judges with these shares of yes would reach by chance. 1 is full "
    "agreement, 0 is chance. None where a judge always says the same."
)


@dataclass(frozen=True)
class Compared:
    """The two judges' agreement on each kind of question."""

    by_kind: dict[str, Agreement]


def judge_comparison(run: Run, view: CompareView) -> None:
    own = judges(run)
    if not own:
        st.info("No judge has answered in this run yet. Refine its labels first.")
        st.page_link(
            links.page("classes"), label="Refine", icon=":material/gavel:", query_params=view.query(step="refine")
        )
        return
    first = next(judge for judge in (view.judge, run.judge, own[0]) if judge in own)
    others = _others(run, own, first)
    if not others:
        st.info(
            f"Only {plain(run.judge_name(first))} has answered these questions. Make another run of the same ID "
            "classes with another judge, for example a language model, and it can be chosen here:"
        )
        st.code("negrefine run --name second --judge openai", language="bash")
        return
    second = view.other_judge if view.other_judge in others else others[0]
    _choose(run, view, own, first, others, second)
    found = _compared(run, first, second)
    if found is None:
        return
    if not any(agreement.questions for agreement in found.by_kind.values()):
        st.info(
            "The two judges have no question in common: their runs have other ID classes and negatives. Choose "
            "another judge."
        )
        return
    name = partial(_name, run)
    for column, (kind, agreement) in zip(st.columns(2, gap="large"), found.by_kind.items(), strict=True):
        with column:
            _agreement(kind, agreement, name(first), name(second))
    _disagreements(run, view, found, name(first), name(second))


@cached_by(lambda run: run.state("verdicts.jsonl"), max_entries=16)
def judges(run: Run) -> list[str]:
    """Who has answered questions in the run."""
    return sorted({verdict.judge for verdict in run.verdicts})


def _others(run: Run, own: list[str], first: str) -> list[str]:
    """Whom to compare with: this run's other judges, WordNet, and the judges of other runs, as `judge @ run`."""
    here = [judge for judge in own if judge != first]
    asked = [WORDNET] if WORDNET not in own else []
    there = [name for name in other_runs(run) if Run.open(name).path("verdicts.jsonl").exists()]
    return [*here, *asked, *(f"{Run.open(name).judge}{AT}{name}" for name in there)]


def _name(run: Run, judge: str) -> str:
    """What a judge of this run, or of the run after its @, is called."""
    identity, at, there = judge.partition(AT)
    return f"{(Run.open(there) if there else run).judge_name(identity)}{at}{there}"


def _choose(run: Run, view: CompareView, own: list[str], first: str, others: list[str], second: str) -> None:
    left, right = st.columns(2)
    left.selectbox("First judge", own, format_func=run.judge_name, **bound(view, "judge", first))
    asked_now = {WORDNET}.difference(own)
    right.selectbox(
        "Second judge",
        others,
        format_func=lambda judge: _name(run, judge) + (" (asked now, offline)" if judge in asked_now else ""),
        help="Another judge of this run, the judge of another run, or WordNet’s own rules.",
        **bound(view, "other_judge", second),
    )


def _compared(run: Run, first: str, second: str) -> Compared | None:
    """The comparison, or None and a sign of work under way."""
    other = Run.open(second.rpartition(AT)[2]) if AT in second else run
    key = ("judges", first, second, *(each.state("verdicts.jsonl") for each in (run, other)))
    return background.result(key, lambda: _compare(run, first, other, second), "Comparing the judges’ answers")


def _compare(run: Run, first: str, other: Run, second: str) -> Compared:
    ours = [verdict for verdict in run.verdicts if verdict.judge == first]
    identity = second.partition(AT)[0]
    theirs = [verdict for verdict in other.verdicts if verdict.judge == identity]
    if not theirs and identity == WORDNET:
        with WORDNET_LOCK:
            theirs = second_opinion(WordNetJudge(), ours)
    return Compared({kind: compare_judges(_of(kind, ours), _of(kind, theirs)) for kind in KINDS})


def _of(kind: str, verdicts: list[Verdict]) -> list[Verdict]:
    return [verdict for verdict in verdicts if verdict.kind == kind]


def _agreement(kind: str, agreement: Agreement, first: str, second: str) -> None:
    st.markdown(f"**{KINDS[kind]}**")
    if not agreement.questions:
        st.caption("No question of this kind was answered by both.")
        return
    kappa = "none" if agreement.kappa is None else f"{agreement.kappa:.2f}"
    st.markdown(
        f"**{agreement.questions:,}** questions · agreement **{percent(agreement.agreement)}** · kappa **{kappa}**",
        help="Questions that both judges answered, word for word. Agreement: the share of equal decisions; an unclear "
        f"reply counts as no. {KAPPA}",
    )
    counts = agreement.confusion.rename(
        index=lambda a: plain(f"{first}: {a}"), columns=lambda a: plain(f"{second}: {a}")
    )
    counts.index.name = None
    st.table(counts.map("{:,}".format), border="horizontal")


def _disagreements(run: Run, view: CompareView, found: Compared, first: str, second: str) -> None:
    pairs = [(kind, a, b) for kind, agreement in reversed(found.by_kind.items()) for a, b in agreement.disagreements]
    st.markdown(
        f"**Where they disagree** ({len(pairs):,} questions)",
        help="Rejections that another judge would not have made deserve a second look.",
    )
    if not pairs:
        st.info("The two judges decide alike on every question that both answered.")
        return
    table = pd.DataFrame(
        {
            "label": [a.negative for _, a, _ in pairs],
            "kind": [kind for kind, *_ in pairs],
            "id_label": [a.id_label or "" for _, a, _ in pairs],
            "first": [a.reply or a.answer for _, a, _ in pairs],
            "second": [b.reply or b.answer for _, _, b in pairs],
        }
    )
    shown = search(table, view)
    if shown.empty:
        st.info("No label holds this text. Empty the search.")
        return
    shown = shown.assign(review=[review_url(view, run, label) for label in shown["label"]])
    names = {
        "label": "Negative",
        "kind": "Question",
        "id_label": "ID class",
        "first": first,
        "second": second,
        "review": "Review",
    }
    st.dataframe(
        shown.rename(columns=names),
        hide_index=True,
        height=38 + 35 * min(len(shown), 15),
        column_config={"Review": review_column()},
        alt="Questions that the two judges answer differently, with both replies",
    )
