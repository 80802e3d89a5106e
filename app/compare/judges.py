"""Two judges on the same questions: how often they agree, where they do not, and what either makes of the run."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from negrefine_core.errors import NegRefineError
from negrefine_core.judges.agreement import Agreement, compare_judges, second_opinion
from negrefine_core.judges.decided import Decided, decided_by, decided_in, needs_model
from negrefine_core.judges.trial import trial_chains
from negrefine_core.judges.wordnet import WordNetJudge
from negrefine_core.methods import DEFAULT, method
from negrefine_core.negfilter import judge_chains
from negrefine_core.overrides import verdict_state
from negrefine_core.records import Verdict
from negrefine_core.runs import Run

from ..shared import background, errors, features, links
from ..shared.cached import cached_by
from ..shared.review_link import review_column, review_url
from ..shared.scored_images import choose_sets
from ..shared.view import bound
from ..shared.wordnet import WORDNET_LOCK
from ..shared.words import percent, plain
from .labels import search
from .sides import Judged, Side, Sides, other_runs
from .view import CompareView

KINDS = {"proper noun": "Is it a proper noun?", "subcategory": "Is it a subcategory of an ID class?"}
WORDNET, AT = "wordnet", " @ "
KAPPA = (
    "Cohen’s kappa: agreement beyond what two judges with these shares of yes would reach by chance. 1 is full "
    "agreement, 0 is chance. None where a judge always says the same."
)


@dataclass(frozen=True)
class Judges:
    """Two judges of a run's labels by their identities, the second perhaps of the `other` run, and what both are
    called."""

    first: str
    second: str
    other: Run
    names: tuple[str, str]

    @classmethod
    def of(cls, run: Run, first: str, second: str) -> "Judges":
        identity, at, there = second.partition(AT)
        other = Run.open(there) if at else run
        names = run.short_judge_name(first), other.short_judge_name(identity) + at + there
        if names[0] == names[1]:  # one model on two servers
            names = run.judge_name(first), _name(run, second)
        return cls(first, identity, other, names)

    def state(self, run: Run) -> tuple[object, ...]:
        """A key for what is worked out from their answers."""
        return self.first, self.second, *verdict_state(run), self.other.state("verdicts.jsonl")

    @property
    def is_asked_now(self) -> bool:
        """Whether the second is WordNet, and has not answered in the run."""
        return self.second == WORDNET and WORDNET not in judges(self.other)


def choose_judges(run: Run, view: CompareView) -> Judges | None:
    """The view's judges, with their pickers; None and the way on where there are no two."""
    own = judges(run)
    if not own:
        st.info("No judge has answered in this run yet. Refine its labels first.")
        st.page_link(
            links.page("classes"), label="Refine", icon=":material/gavel:", query_params=view.query(step="refine")
        )
        return None
    first = next(judge for judge in (view.judge, run.judge, own[0]) if judge in own)
    others = _others(run, own, first)
    if not others:
        st.info(
            f"Only {plain(run.judge_name(first))} has answered these questions. Make another run of the same ID "
            "classes with another judge, for example a language model, and it can be chosen here:"
        )
        st.code("negrefine run --name second --judge openai", language="bash")
        return None
    second = view.other_judge if view.other_judge in others else others[0]
    _choose(run, view, own, first, others, second)
    return Judges.of(run, first, second)


def agreement(run: Run, pair: Judges) -> dict[str, Agreement] | None:
    """How far the judges agree on each kind of question; None and why where that is not known."""
    found = background.result(
        ("agreement", *pair.state(run)), lambda: _agreements(run, pair), "Comparing the judges’ answers"
    )
    if found is None:
        return None
    if not any(each.questions for each in found.values()):
        st.info(
            "The two judges have no question in common: their runs have other ID classes and negatives. Choose "
            "another judge."
        )
        return None
    for column, (kind, each) in zip(st.columns(2, gap="large"), found.items(), strict=True):
        with column:
            _agreement(kind, each, *pair.names)
    return found


def judged_sides(run: Run, view: CompareView, pair: Judges) -> Sides | None:
    """The run with the negatives that either judge keeps, and the NegRefine scores of its images with these; None and
    why where it is not known which they keep."""
    try:
        decided = background.result(
            ("decided", *pair.state(run)), lambda: _decided(run, pair), "Looking up which negatives either keeps"
        )
    except NegRefineError as error:  # no model to find WordNet's questions by
        errors.show(error, "info")
        return None
    if decided is None or not _is_whole(run, view, pair, decided):
        return None
    if not needs_model(run):
        st.caption(
            "The questions are those of the published log, which end with the yes of "
            f"{plain(run.judge_name(run.judge))}: who says no to it keeps the label."
        )
    scores = _scores(run, pair, decided) if run.scored_sets else None
    made = []
    for place, log in enumerate((run, pair.other)):
        judged = Judged(decided[place], log, (place, *pair.state(run)), scores[place] if scores else None)
        made.append(Side(run, method(DEFAULT), pair.names[place], judged))
    return Sides(made[0], made[1], choose_sets(run, view) if scores else None)


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


def _agreements(run: Run, pair: Judges) -> dict[str, Agreement]:
    ours = [verdict for verdict in run.verdicts if verdict.judge == pair.first]
    theirs = [verdict for verdict in pair.other.verdicts if verdict.judge == pair.second]
    if pair.is_asked_now:
        with WORDNET_LOCK:
            theirs = second_opinion(WordNetJudge(), ours)
    return {kind: compare_judges(_of(kind, ours), _of(kind, theirs)) for kind in KINDS}


def _decided(run: Run, pair: Judges) -> tuple[Decided, Decided]:
    first = decided_in(run, pair.first, run)
    return first, _wordnets(run) if pair.is_asked_now else decided_in(run, pair.second, pair.other)


def _wordnets(run: Run) -> Decided:
    """What WordNet decides on the run's negatives, asked now."""
    labels = [negative.label for negative in run.reviewable]
    chains = trial_chains(run, set(labels), features.encoder(run) if needs_model(run) else None)
    with WORDNET_LOCK:
        verdicts = [verdict for chain in judge_chains(WordNetJudge(), chains) for verdict in chain]
    return decided_by(run, WORDNET, verdicts, labels)


def _is_whole(run: Run, view: CompareView, pair: Judges, decided: tuple[Decided, Decided]) -> bool:
    """Whether both judges have decided on every negative; where one has not, what to do."""
    lacking = [(name, len(each.lacking)) for name, each in zip(pair.names, decided, strict=True) if each.lacking]
    for name, count in lacking:
        st.info(
            f"{plain(name)} has not decided on {count:,} of this run’s {len(run.reviewable):,} negatives, so what it "
            "keeps, and what that does to the scores, is not known. Refine the run with it, or a second run of the "
            "same ID classes: what it has answered is not asked again."
        )
    if lacking:
        st.page_link(
            links.page("classes"), label="Refine", icon=":material/gavel:", query_params=view.query(step="refine")
        )
    return not lacking


def _scores(run: Run, pair: Judges, decided: tuple[Decided, Decided]) -> list[dict[str, np.ndarray]] | None:
    """`judged_scores`; None and a sign of what is missing or under way."""
    try:
        gain = "what the negatives that either judge keeps do to AUROC, FPR@95 and single images"
        if not features.at_hand(run, "Loading the model: a few seconds, once", gain):
            return None
        return background.result(
            ("judged scores", *pair.state(run), run.state(scores=run.scored_sets)),
            lambda: judged_scores(run, decided),
            "Working out the scores with the negatives that either keeps",
        )
    except NegRefineError as error:
        errors.show(error, "info")
        return None


def judged_scores(run: Run, decided: tuple[Decided, Decided]) -> list[dict[str, np.ndarray]]:
    """The scores (B,) of the images of each scored set with the negatives that either judge keeps, without overrides:
    what both keep stays in the same groups. NaN where an image has no feature."""
    effects = features.judged_effects(run, tuple(run.scored_sets))
    return [_by_set(run, effects.with_negatives(each.kept(run)).before.numpy()) for each in decided]


def _by_set(run: Run, values: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of the images of all sets that have features, joined, as each set has its images."""
    found = {}
    for name in run.scored_sets:
        places, rows = features.rows_of(run, (name,))
        found[name] = np.full(features.image_features(run, name).scored, np.nan, dtype=np.float32)  # (B,)
        found[name][rows] = values[places]
    return found


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


def answers_that_differ(run: Run, view: CompareView, pair: Judges, found: dict[str, Agreement]) -> None:
    first, second = pair.names
    pairs = [(kind, a, b) for kind, each in reversed(found.items()) for a, b in each.disagreements]
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
