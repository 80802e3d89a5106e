"""The lessons of the Learn page: each one picture or plot, a few sentences, and figures of the run itself."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd
import streamlit as st

from negrefine_core.errors import NegRefineError
from negrefine_core.operating_point import TPR95, YOUDEN
from negrefine_core.overrides import DROPPED, KEPT, changes
from negrefine_core.records import Verdict
from negrefine_core.runs import Run
from negrefine_core.show import charts

from ..compare.differences import METRICS, differences, overall, statement
from ..compare.sides import choose, join
from ..compare.view import CompareView
from ..shared import links, pictures
from ..shared.address import Address
from ..shared.cached import cached_by
from ..shared.gallery import described, image_card
from ..shared.scored_images import ScoredImages
from ..shared.words import equals, percent, plain
from .view import LearnView

PICTURES = 6
SOME = 8  # labels


def _with(run: Run, view: LearnView, score: str, **changes: object) -> tuple[LearnView, ScoredImages]:
    """The view on one score, without the filters set elsewhere, and its images."""
    fresh = LearnView(run=view.run, id=view.id, ood=view.ood, score=score, lesson=view.lesson)
    fresh = replace(fresh, **changes)  # type: ignore[arg-type]
    images = ScoredImages.of(run, fresh)
    return fresh, replace(images, table=images.rows(run, images.table.index).drop(columns="row"))


def _histogram(images: ScoredImages, key: str) -> None:
    st.plotly_chart(
        charts.histogram(images.table, images.score.column, images.threshold, title=f"{images.score.name} score"),
        key=key,
        config={"displayModeBar": False},
        alt=f"Histogram of the {images.score.name} scores of ID and OOD images",
    )


def _grid(
    run: Run,
    view: LearnView,
    images: ScoredImages,
    shown: pd.DataFrame,
    words: Callable[[pd.Series], str] | None = None,
) -> None:
    with st.container(key="gallery_lesson"):
        for position, (_, image) in enumerate(shown.iloc[:PICTURES].iterrows()):
            with st.container(key=f"card_{'id' if image['is_id'] else 'ood'}_{position}"):
                image_card(run, view, images, image, words(image) if words else None)


def _what_changes(run: Run, view: LearnView, first: str, second: str) -> None:
    """What the metrics of two scores differ by, as far as the run's images can tell, and the way to Compare."""
    pair = CompareView.parse(view.query(compare="methods", alone="", first=first, second=second, threshold=TPR95))
    sides = choose(run, pair)
    if sides.sets is None or (sides.first.score.column, sides.second.score.column) != (first, second):
        return
    found = differences(sides, sides.sets, join(sides, sides.sets, pair).table, "id-positive")
    if found is not None:
        st.markdown("\n".join(f"- {statement(difference, sides)}" for difference in overall(found)))
    st.page_link(
        links.page("compare"),
        label=f"Compare {sides.first.name} with {sides.second.name}",
        icon=":material/compare_arrows:",
        query_params=pair.query(),
    )


def similarity(run: Run, view: LearnView) -> None:
    here, images = _with(run, view, "mcm", outcome="FP", sort="wrong")
    table = images.table
    let_in = int((table["outcome"] == "FP").sum())
    oods = int((~table["is_id"]).sum())
    st.markdown(
        f"CLIP puts pictures and texts into one space, so a picture can be compared with the names of your "
        f"**{len(run.id_labels):,} ID classes**. MCM takes the share of the best-matching name as the score. But the "
        "shares must add up to one, so something that is none of your classes still goes to the nearest name."
    )
    _histogram(images, "lesson_mcm")
    st.markdown(
        f"At the threshold that keeps 95% of the ID images, MCM lets in **{let_in:,} of {oods:,}** OOD images "
        f"({percent(let_in / max(oods, 1))}). These are the ones it is surest of:"
    )
    _grid(run, here, images, images.table.iloc[images.shown(here)])
    st.page_link(
        links.page("explore"), label=f"See all {let_in:,}", icon=":material/bar_chart:", query_params=here.query()
    )


def negatives(run: Run, view: LearnView) -> None:
    mined = run.initial_negatives
    nouns = [negative.label for negative in mined if negative.pos == "noun"]
    phrases = [negative.label for negative in mined if negative.pos == "adjective"]
    st.markdown(
        f"The remedy: give the picture other names to go to, {_share(run.settings.fraction)} of WordNet. This run has "
        f"**{len(nouns):,} nouns** such as {_some(nouns)}"
        + (f", and **{len(phrases):,} adjective phrases** such as {_some(phrases)}" if phrases else "")
        + ". The NegLabel score is the share of the similarity that stays with the ID classes when these **negative "
        "labels** compete."
    )
    _, images = _with(run, view, "csp")
    _histogram(images, "lesson_csp")
    st.markdown("CSP is this score on this mining. Against MCM, which has no negatives:")
    _what_changes(run, view, "mcm", "csp")


def harm(run: Run, view: LearnView) -> None:
    here, images = _with(run, view, "neglabel", threshold=YOUDEN)
    table, column = images.table, _mined_column(images.table)
    st.markdown(
        "A negative should attract OOD images and leave ID images alone. Two kinds do harm: **proper nouns** (a city’s "
        "name goes with pictures of anything found there) and **subcategories** of an ID class (a breed competes with "
        "its own animal)."
    )
    if "csp" in table:
        _lost(run, here, images)
    inside = table[table["is_id"]]
    counts = inside[column].explode().value_counts()
    st.plotly_chart(
        charts.attracted(table.assign(negative_labels=table[column])),
        key="lesson_attracted",
        config={"displayModeBar": False},
        alt="Negatives that are most often among the top ones of ID images",
    )
    if counts.empty:
        return
    label = str(counts.index[0])
    st.markdown(
        f"“{plain(label)}” is among the top negatives of **{int(counts.iloc[0]):,}** of {len(inside):,} ID images."
    )
    st.page_link(
        links.page("review"),
        label=f"Review “{plain(label)}”",
        icon=":material/rate_review:",
        query_params=view.query(queue="all", label=label),
    )


def _share(fraction: float) -> str:
    return "words" if fraction == 1 else f"the {100 * fraction:g}% of words least similar to any ID class"


def _mined_column(table: pd.DataFrame) -> str:
    """Of the labels that an image is nearest to, of all that was mined; older scores know only what was left."""
    return "mined_labels" if "mined_labels" in table else "negative_labels"


def _lost(run: Run, view: LearnView, images: ScoredImages) -> None:
    """The ID images that only the filter brings above the threshold, and the word that each loses to without it."""
    table, at = images.table, images.threshold
    saved = table[(table["csp"] < at) & (table["neglabel"] >= at)]
    lost = saved[saved["is_id"]]
    if lost.empty:
        st.markdown("In this run no ID image falls below the threshold for want of the filter.")
        return
    inside, outside = int(table["is_id"].sum()), int((~table["is_id"]).sum())
    st.markdown(
        f"Without the filter **{len(lost):,} of {inside:,}** ID images fall below the threshold that tells the two "
        f"apart best ({images.text(at)}), and so do {len(saved) - len(lost):,} of {outside:,} OOD images, rightly. The "
        "score without it and with it, and the word that the picture was lost to:"
    )
    rejected, column = run.rejections, _mined_column(table)

    def words(image: pd.Series) -> str:
        labels = [str(label) for label in image[column]]
        word = next((label for label in labels if label in rejected), "")
        moved = f"{images.text(image['csp'])} → **{images.text(image['neglabel'])}**"
        return f"{moved}  \n“{plain(word)}”" if word else moved

    gain = (lost["neglabel"] - lost["csp"]).sort_values(ascending=False, kind="stable")
    _grid(run, view, images, lost.loc[gain.index], words)


@dataclass(frozen=True)
class _Filtered:
    """What the judge did: how many questions it answered, the labels each step takes and leaves, and a rejection."""

    judge: str
    asked: int
    steps: dict[str, int]
    example: Verdict | None


@cached_by(
    lambda run: run.state("verdicts.jsonl", "overrides.jsonl", "negatives.csv", "initial_negatives.csv"),
    max_entries=4,
    spinner="Reading the verdicts",
)
def _filtered(run: Run) -> _Filtered:
    rejected, identity = run.rejections, run.judge
    kinds = pd.Series([verdict.kind for verdict in rejected.values()], dtype=str).value_counts()
    steps = {"mined": len(run.initial_negatives), "after cleaning": len(run.reviewable)}
    steps |= {f"rejected: {kind}": int(count) for kind, count in kinds.items()}
    changed = [entry.new for entry in changes(run.overrides)]
    for decision, words in ((KEPT, "restored by you"), (DROPPED, "dropped by you")):
        steps |= {words: changed.count(decision)} if decision in changed else {}
    steps["left to score with"] = len(run.negatives)
    example = next((v for v in rejected.values() if v.kind == "subcategory"), next(iter(rejected.values()), None))
    return _Filtered(
        run.judge_name(identity), sum(verdict.judge == identity for verdict in run.verdicts), steps, example
    )


def _taken_out(run: Run, table: pd.DataFrame) -> list[str]:
    """The rejected labels that ID images are nearest to, those of the most images first."""
    near = table.loc[table["is_id"], _mined_column(table)].explode().value_counts()
    return [str(label) for label in near.index[near.index.isin(list(run.rejections))]]


def judge(run: Run, view: LearnView) -> None:
    found = _filtered(run)
    st.markdown(
        "NegFilter asks a judge about each negative: is it a proper noun? If not, is it a subcategory of one of the 10 "
        "ID classes nearest to it? The first yes throws it out. The paper asks a large language model; the judge of "
        f"this run is **{plain(found.judge)}**, which answered **{found.asked:,}** questions."
    )
    st.plotly_chart(
        charts.counts(found.steps),
        key="lesson_judge",
        config={"displayModeBar": False},
        alt="How many labels the filter takes and leaves",
    )
    taken_out = _taken_out(run, _with(run, view, "neglabel")[1].table)
    example = run.rejections[taken_out[0]] if taken_out else found.example
    if len(taken_out) > 1:
        st.markdown("Out went what most ID images were near to: " + ", ".join(map(_quoted, taken_out[:SOME])) + ".")
    if example is not None:
        st.markdown(
            f"For example: “{plain(example.prompt)}” – “{plain(example.reply or example.answer)}”. Is it right?"
        )
        st.page_link(
            links.page("review"),
            label=f"Review “{plain(example.negative)}”",
            icon=":material/rate_review:",
            query_params=view.query(queue="all", label=example.negative),
        )
    st.markdown("The filter alone, which is the NegLabel part of NegRefine, against CSP:")
    _what_changes(run, view, "csp", "neglabel")


def matching(run: Run, view: LearnView) -> None:
    _, images = _with(run, view, "negrefine")
    table = images.table
    inside = table[table["is_id"]]
    gain = table["negrefine"].rank() - table["neglabel"].rank()  # in places among all images
    image = inside.iloc[int(gain[inside.index].argmax())]
    st.markdown(
        "A picture of an ID class may well match a negative too: a dog on a beach. So multi-matching asks whether the "
        "two **together** fit better than the negative alone, for the top 5 of each. If so, the negative stood beside "
        "the class, not in its place."
    )
    left, right = st.columns([1, 2], gap="medium")
    with left:
        _one_picture(run, image)
    with right:
        st.plotly_chart(
            charts.label_similarities(image),
            key="lesson_matching",
            config={"displayModeBar": False},
            alt=f"What {described(image)} looks like to the model",
        )
    alpha, name = run.settings.alpha, plain(described(image))
    st.markdown(
        f"Of the ID images, this {name} gains the most places by it: “{plain(image['pair_id'])} and "
        f"{plain(image['pair_negative'])}” against “{plain(image['pair_negative'])}” gives "
        f"**{image['multi_matching']:.3f}**, and the score is "
        f"{image['neglabel']:.3f} + {alpha:g} × {image['multi_matching']:.3f} "
        f"{equals(image['neglabel'], alpha, image['multi_matching'], image['negrefine'])} **{image['negrefine']:.3f}**."
    )
    st.page_link(
        links.page("image"),
        label="Open this image and switch labels off",
        icon=":material/image:",
        query_params=view.query(image=str(Address.of(image)), off="", off_ids=""),
    )
    st.markdown("Over all images, with the part against without it:")
    _what_changes(run, view, "neglabel", "negrefine")


def scores(run: Run, view: LearnView) -> None:
    methods = run.metrics["methods"]
    st.markdown(
        "Two figures sum a score up. **AUROC**: how often an ID image scores higher than an OOD image; 50% is chance. "
        "**FPR@95**: the share of OOD images let in at the threshold that keeps 95% of the ID images. Each comes with "
        "how far it would vary with other images of the same kind: a 95% bootstrap interval."
    )
    for column, metric in zip(st.columns(2), METRICS, strict=True):
        column.plotly_chart(
            charts.method_intervals(methods, metric=metric),
            key=f"lesson_{metric}",
            config={"displayModeBar": False},
            alt=f"{METRICS[metric]} of each method with its interval",
        )
    st.caption(
        "The mean over the run’s OOD sets. Two methods on the same images can differ clearly though their intervals "
        "overlap: what counts is the interval of the difference, which follows."
    )
    st.markdown("The whole of NegRefine against CSP, where it started:")
    _what_changes(run, view, "csp", "negrefine")
    st.page_link(
        links.page("explore"),
        label="All metrics, set by set",
        icon=":material/bar_chart:",
        query_params=view.query(show="metrics"),
    )


def _one_picture(run: Run, image: pd.Series) -> None:
    try:
        st.image(
            pictures.large(run, image["image_set"], image["path"]),
            width="stretch",
            caption=plain(described(image)),
            alt=f"A picture of {described(image)}",
        )
    except NegRefineError as error:
        st.warning(f"This picture cannot be shown: {plain(str(error))}", icon=":material/broken_image:")


def _some(labels: list[str], count: int = 3) -> str:
    """A few, spread over the list."""
    step = max(len(labels) // count, 1)
    return ", ".join(map(_quoted, labels[::step][:count])) or "none"


def _quoted(label: str) -> str:
    return f"“{plain(label)}”"


LESSONS = {
    "similarity": similarity,
    "negatives": negatives,
    "harm": harm,
    "judge": judge,
    "matching": matching,
    "scores": scores,
}
