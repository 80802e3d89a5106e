"""Judges compared: how far two agree, where they differ, and which rejections deserve a second look."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
from sklearn.metrics import cohen_kappa_score

from .encoder import Progress
from .judge import Judge, Question
from .lexicon import WordNet
from .negfilter import Verdict, judge_chains

# How much each sign counts by itself; together they count as independent ones: 1 - product of (1 - weight).
WORDNET_CONTRADICTS = 0.5
JUDGE_DISAGREES = 0.5  # times the share of the other judges that disagree
SPELLING = 0.6
LOW_SIMILARITY = 0.3  # times how far down the similarity lies among the rejections of its kind
SPELT_ALIKE = 0.75  # difflib's ratio of two words: 'sage' and 'safe'


@dataclass(frozen=True)
class Agreement:
    """Two judges over the questions that both answered.

    `agreement` is the share of equal decisions and `kappa` Cohen's (None where one judge never varies); unclear
    counts as no in both. `confusion` counts the answers, rows the first judge's; `disagreements` are verdict pairs.
    """

    questions: int
    agreement: float
    kappa: float | None
    confusion: pd.DataFrame
    disagreements: tuple[tuple[Verdict, Verdict], ...]


def compare_judges(first: Iterable[Verdict], second: Iterable[Verdict]) -> Agreement:
    """Compare two judges' verdicts, matched by prompt; filter both by `kind` to compare on one kind of question."""
    seconds = {verdict.prompt: verdict for verdict in second if verdict.prompt}
    pairs = [(verdict, seconds[verdict.prompt]) for verdict in first if verdict.prompt in seconds]
    yes = [(a.answer == "yes", b.answer == "yes") for a, b in pairs]
    different = tuple(pair for pair, (a, b) in zip(pairs, yes, strict=True) if a != b)
    varied = all(len(set(side)) == 2 for side in zip(*yes, strict=True)) if yes else False
    kappa = float(cohen_kappa_score(*zip(*yes, strict=True))) if varied else None
    confusion = pd.crosstab(
        pd.Series([a.answer for a, _ in pairs], name="first", dtype=str),
        pd.Series([b.answer for _, b in pairs], name="second", dtype=str),
    )
    share = 1 - len(different) / len(pairs) if pairs else 0.0
    return Agreement(len(pairs), share, kappa, confusion, different)


def second_opinion(
    judge: Judge,
    verdicts: Iterable[Verdict],
    on_verdict: Callable[[Verdict], None] | None = None,
    progress: Progress | None = None,
) -> list[Verdict]:
    """Put the questions of these verdicts to another judge, each of them whatever the others' answers."""
    chains = [[Question(v.negative, v.kind, v.id_label, v.similarity)] for v in verdicts if v.kind != "same"]
    return [verdict for chain in judge_chains(judge, chains, None, on_verdict, progress) for verdict in chain]


@dataclass(frozen=True)
class Suspicion:
    """How doubtful a rejection is, from 0 to 1, and why, in one sentence."""

    verdict: Verdict
    score: float
    why: str


def suspicions(
    rejections: Iterable[Verdict], wordnet: WordNet, others: Sequence[Iterable[Verdict]] = ()
) -> list[Suspicion]:
    """Rejections, the most doubtful first: those to review first.

    Args:
        others: other judges' verdicts, one collection a judge.
    """
    rejections = [verdict for verdict in rejections if verdict.kind != "same"]
    answers = [{verdict.prompt: verdict.answer for verdict in judge} for judge in others]
    depth = _depth_in_similarity(rejections)
    found = []
    for verdict in rejections:
        signs = _signs(verdict, wordnet, [a[verdict.prompt] for a in answers if verdict.prompt in a])
        if depth.get(verdict.prompt, 0.0) > 0.5:
            signs.append((LOW_SIMILARITY * depth[verdict.prompt], "CLIP finds the two unusually far apart"))
        doubt = 1.0
        for weight, _ in signs:
            doubt *= 1 - weight
        found.append(Suspicion(verdict, round(1 - doubt, 4), _sentence(verdict, [text for _, text in signs])))
    return sorted(found, key=lambda suspicion: -suspicion.score)


def _signs(verdict: Verdict, wordnet: WordNet, other_answers: Sequence[str]) -> list[tuple[float, str]]:
    signs = []
    if wordnet_contradicts(verdict, wordnet):
        common = verdict.kind == "proper noun"
        signs.append((WORDNET_CONTRADICTS, "WordNet " + ("has a common sense of it" if common else "knows both words "
                                                         "and no such relation")))  # fmt: skip
    disagree = sum(answer != "yes" for answer in other_answers)
    if disagree:
        signs.append((JUDGE_DISAGREES * disagree / len(other_answers), f"{disagree} of {len(other_answers)} other "
                      f"judges disagree{'s' if disagree == 1 else ''}"))  # fmt: skip
    trap = spelling_trap(verdict.negative, verdict.id_label or "") if verdict.kind == "subcategory" else None
    if trap and not _wordnet_confirms(verdict, wordnet):
        signs.append((SPELLING, f"{trap[0]!r} is merely spelt like {trap[1]!r}"))
    return signs


def wordnet_contradicts(verdict: Verdict, wordnet: WordNet) -> bool:
    """Whether WordNet knows the words of a rejection, and says no to it."""
    if verdict.kind == "proper noun":
        return wordnet.is_noun(verdict.negative) and not wordnet.is_proper_noun(verdict.negative)
    known = wordnet.is_noun(verdict.negative) and wordnet.is_noun(verdict.id_label or "")
    return known and not _wordnet_confirms(verdict, wordnet)


def _wordnet_confirms(verdict: Verdict, wordnet: WordNet) -> bool:
    return wordnet.is_subcategory(verdict.negative, verdict.id_label or "")


def spelling_trap(negative: str, id_label: str) -> tuple[str, str] | None:
    """Two words that look alike without being the same: 'radioactive' and 'radio', 'sage' and 'safe'."""
    words, id_words = negative.casefold().split(), id_label.casefold().split()
    if {_singular(word) for word in words} & {_singular(word) for word in id_words}:
        return None  # they share a word: the relation may be real
    for word in words:
        for id_word in id_words:
            inside = len(id_word) >= 4 and word.startswith(id_word)
            if inside or difflib.SequenceMatcher(None, word, id_word).ratio() >= SPELT_ALIKE:
                return word, id_word
    return None


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") else word


def _depth_in_similarity(rejections: Iterable[Verdict]) -> dict[str, float]:
    """From 0 for the most similar negative and ID class to 1 for the least, by prompt, where it is known."""
    paired = {v.prompt: v.similarity for v in rejections if v.kind == "subcategory" and v.similarity is not None}
    known = pd.Series(paired, dtype=float).dropna()
    return {str(prompt): float(depth) for prompt, depth in known.rank(ascending=False, pct=True).items()}


def _sentence(verdict: Verdict, signs: Sequence[str]) -> str:
    called = "a proper noun" if verdict.kind == "proper noun" else f"a subcategory of {verdict.id_label!r}"
    return f"{verdict.negative!r} was called {called}" + (f", but {'; '.join(signs)}." if signs else "; nothing "
                                                          "speaks against it.")  # fmt: skip
