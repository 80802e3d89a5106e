"""Judges compared: how far two agree, where they differ, and which rejections deserve a second look."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from ..judge import Judge, JudgeIdentity, Question
from ..lexicon import WordNet
from ..negfilter import judge_chains
from ..records import Answer, Subject, Verdict

if TYPE_CHECKING:  # torch takes seconds to import, and comparing answers needs none
    from ..progress import Progress

# How much each sign counts by itself; together they count as independent ones: 1 - product of (1 - weight).
WRITTEN_SMALL = 0.55  # called a proper noun, and WordNet writes it without a capital
ALSO_SMALL = 0.35  # called a proper noun, and WordNet also writes it without a capital
COMMON_SENSE = 0.2  # called a proper noun, and WordNet has a sense of it that is no instance
TAXON = 0.2  # called a subcategory, and WordNet has it as a genus or the like: a group, not a kind
NO_RELATION = 0.3  # called a subcategory, and WordNet knows no such relation
FAR_APART = 0.4  # and more, the less the two have in common in WordNet
JUDGE_DISAGREES = 0.5  # times the share of the other judges that disagree
SPELLING = 0.6
OTHER_SENSE = 0.6  # called a subcategory, and it is one of another sense of the ID class than the other classes suggest
LOW_SIMILARITY = 0.3  # times how far down the similarity lies among the rejections of its kind
FEW = 5  # rejections, among which no similarity is unusual
SPELT_ALIKE = 0.75  # difflib's ratio of two words: 'sage' and 'safe'
WORDNET_SAYS_YES = 0.5  # kept, though by WordNet it is a proper noun or a subcategory
SAME_NOUN = 0.5  # kept, though it ends in the ID class: 'barn owl' and 'owl'
UNSURE = 0.5  # times how near the judge's own P(yes) comes to an even chance, and full beyond it
SURE = 0.9  # P(yes) or P(no) from which a judge counts as sure
SPLIT = 0.97  # of a panel that was divided, and more: such labels come before all on which it agreed
UNCLEAR = 0.3  # kept by a reply that was neither yes nor no


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
    """Compare two judges' verdicts, matched by what was asked, in whatever words.

    Filter both by `kind` to compare on one kind of question.
    """
    seconds = {verdict.subject: verdict for verdict in second if verdict.kind != "same"}
    pairs = [(verdict, seconds[verdict.subject]) for verdict in first if verdict.subject in seconds]
    yes = [(a.answer == "yes", b.answer == "yes") for a, b in pairs]
    different = tuple(pair for pair, (a, b) in zip(pairs, yes, strict=True) if a != b)
    varied = all(len(set(side)) == 2 for side in zip(*yes, strict=True)) if yes else False
    kappa = _kappa(yes) if varied else None
    confusion = pd.crosstab(
        pd.Series([a.answer for a, _ in pairs], name="first", dtype=str),
        pd.Series([b.answer for _, b in pairs], name="second", dtype=str),
    )
    share = 1 - len(different) / len(pairs) if pairs else 0.0
    return Agreement(len(pairs), share, kappa, confusion, different)


def _kappa(pairs: Sequence[tuple[bool, bool]]) -> float:
    from sklearn.metrics import cohen_kappa_score  # here: it takes seconds to import

    return float(cohen_kappa_score(*zip(*pairs, strict=True)))


def second_opinion(
    judge: Judge,
    verdicts: Iterable[Verdict],
    on_verdict: Callable[[Verdict], None] | None = None,
    progress: "Progress | None" = None,
) -> list[Verdict]:
    """Put the questions of these verdicts to another judge, each of them whatever the others' answers."""
    chains = [[Question(v.negative, v.kind, v.id_label, v.similarity)] for v in verdicts if v.kind != "same"]
    return [verdict for chain in judge_chains(judge, chains, None, on_verdict, progress) for verdict in chain]


@dataclass(frozen=True)
class Suspicion:
    """How doubtful a verdict is, from 0 to 1, and why, in one sentence."""

    verdict: Verdict
    score: float
    why: str


def suspicions(
    rejections: Iterable[Verdict],
    wordnet: WordNet,
    others: Sequence[Iterable[Verdict]] = (),
    id_labels: Iterable[str] = (),
) -> list[Suspicion]:
    """Rejections, the most doubtful first: those to review first.

    Args:
        others: other judges' verdicts, one collection a judge.
        id_labels: all ID classes, which tell what an ambiguous one means: among animals, 'seal' is no stamp.
    """
    rejections = [verdict for verdict in rejections if verdict.kind != "same"]
    answers = _Answers(others)
    depth, file = _depth_in_similarity(rejections), wordnet.usual_file(id_labels)
    found = []
    for verdict in rejections:
        signs = _signs(verdict, wordnet, answers.of_others(verdict))
        meant = wordnet.other_sense(verdict.negative, verdict.id_label or "", file)
        if meant and verdict.kind == "subcategory":
            signs.append((OTHER_SENSE, f"only in another sense of {verdict.id_label!r}: {meant}"))
        if verdict.p_yes is not None and verdict.p_yes_from != "votes" and verdict.p_yes < SURE:
            signs.append((UNSURE * min(1.0, 2 * (1 - verdict.p_yes)), _unsure(verdict.p_yes)))
        if depth.get(verdict.subject, 0.0) > 0.5:
            signs.append(
                (LOW_SIMILARITY * depth[verdict.subject], "CLIP finds the two less alike than most rejected pairs")
            )
        called = "a proper noun" if verdict.kind == "proper noun" else f"a subcategory of {verdict.id_label!r}"
        found.append(_suspicion(verdict, f"was called {called}", signs, [answers.of_members(verdict)]))
    return sorted(found, key=lambda suspicion: -suspicion.score)


def suspicions_of_kept(
    chains: Iterable[Sequence[Verdict]], wordnet: WordNet | None, others: Sequence[Iterable[Verdict]] = ()
) -> list[Suspicion]:
    """Kept negatives, the most doubtful first, each by its chain of questions without a yes.

    Args:
        wordnet: None where WordNet was the judge itself.
        others: other judges' verdicts, one collection a judge.
    """
    chains = [chain for chain in chains if chain]
    answers = _Answers(others)
    found = []
    for chain in chains:
        signs = {verdict: _signs_of_kept(verdict, wordnet, answers) for verdict in chain}
        doubtful = max(chain, key=lambda verdict: sum(weight for weight, _ in signs[verdict]))
        votes = [answers.of_members(verdict) for verdict in chain]
        found.append(_suspicion(doubtful, "was kept", [sign for verdict in chain for sign in signs[verdict]], votes))
    return sorted(found, key=lambda suspicion: -suspicion.score)


def _unsure(p_yes: float) -> str:
    return f"the judge itself was not sure (P(yes) {100 * p_yes:.0f}%)"


def unsureness(chain: Sequence[Verdict]) -> float | None:
    """How unsure the judge was of what a chain decides, from 0 to 1: of a rejection the probability of no, of a kept
    negative the highest of yes; None where the judge gave none."""
    last = chain[-1] if chain else None
    if last and last.answer == "yes":
        return None if last.p_yes is None else 1 - last.p_yes
    known = [verdict.p_yes for verdict in chain if verdict.p_yes is not None]
    return max(known) if known else None


def _suspicion(
    verdict: Verdict, decided: str, signs: Sequence[tuple[float, str]], votes: Sequence[Sequence[Answer]]
) -> Suspicion:
    doubt = 1.0
    for weight, _ in signs:
        doubt *= 1 - weight
    against, doubt = [text for _, text in signs], 1 - doubt
    divided = [answers for answers in votes if len({answer == "yes" for answer in answers}) > 1]
    if divided:
        yes = divided[-1].count("yes")
        against.insert(0, f"the panel was divided ({yes} of {len(divided[-1])} said yes)")
        doubt = SPLIT + (1 - SPLIT) * doubt
    elif any(votes):
        doubt *= SPLIT
    but = f", but {'; '.join(against)}." if against else "; nothing speaks against it."
    return Suspicion(verdict, round(doubt, 4), f"{verdict.negative!r} {decided}{but}")


class _Answers:
    """What the judges besides a verdict's own answered to its question: a panel's members, and the others."""

    def __init__(self, judges: Sequence[Iterable[Verdict]]) -> None:
        collections = [list(verdicts) for verdicts in judges]
        self._judges = [
            (verdicts[0].judge, {verdict.subject: verdict.answer for verdict in verdicts})
            for verdicts in collections
            if verdicts
        ]
        self._members: dict[str, frozenset[str]] = {}

    def of_members(self, verdict: Verdict) -> list[Answer]:
        return self._given(verdict, members=True)

    def of_others(self, verdict: Verdict) -> list[Answer]:
        return self._given(verdict, members=False)

    def _given(self, verdict: Verdict, members: bool) -> list[Answer]:
        own = self._members.setdefault(verdict.judge, frozenset(JudgeIdentity.parse(verdict.judge).members))
        given = (answers for judge, answers in self._judges if (judge in own) == members)
        return [answers[verdict.subject] for answers in given if verdict.subject in answers]


def _signs(verdict: Verdict, wordnet: WordNet, other_answers: Sequence[str]) -> list[tuple[float, str]]:
    signs = []
    if wordnet_contradicts(verdict, wordnet):
        signs.append(_contradiction(verdict, wordnet))
    disagree = sum(answer != "yes" for answer in other_answers)
    if disagree:
        asked = len(other_answers)
        who = "the other judge disagrees" if asked == 1 else f"of {asked} other judges {disagree} say no"
        signs.append((JUDGE_DISAGREES * disagree / asked, who))
    trap = spelling_trap(verdict.negative, verdict.id_label or "") if verdict.kind == "subcategory" else None
    if trap and not _wordnet_confirms(verdict, wordnet):
        signs.append((SPELLING, f"{trap[0]!r} is merely spelt like {trap[1]!r}"))
    return signs


def _contradiction(verdict: Verdict, wordnet: WordNet) -> tuple[float, str]:
    if verdict.kind == "proper noun":
        small = [spelling.islower() for spelling in wordnet.spellings(verdict.negative)]
        if small and all(small):
            return WRITTEN_SMALL, "WordNet writes it without a capital, as a common noun"
        return (ALSO_SMALL if any(small) else COMMON_SENSE), "WordNet has a common sense of it"
    if wordnet.is_taxon(verdict.negative):
        return TAXON, "WordNet knows both words and no such relation"
    shared, nearness = wordnet.common_ground(verdict.negative, verdict.id_label or "")
    what = f"by WordNet the two share no more than being a kind of {shared!r}" if shared else "WordNet sees no relation"
    return NO_RELATION + FAR_APART * (1 - nearness), what


def _signs_of_kept(verdict: Verdict, wordnet: WordNet | None, answers: _Answers) -> list[tuple[float, str]]:
    signs = []
    label = verdict.id_label or ""
    if wordnet and verdict.kind == "proper noun" and wordnet.is_proper_noun(verdict.negative):
        signs.append((WORDNET_SAYS_YES, "WordNet knows it only as a proper noun"))
    if wordnet and verdict.kind == "subcategory" and _wordnet_confirms(verdict, wordnet):
        signs.append((WORDNET_SAYS_YES, f"WordNet has it among the kinds of {label!r}"))
    if verdict.kind == "subcategory" and verdict.negative.casefold().endswith(f" {label.casefold()}"):
        signs.append((SAME_NOUN, f"it ends in the ID class {label!r}"))
    if verdict.p_yes is not None and verdict.p_yes_from != "votes" and verdict.p_yes > 1 - SURE:
        signs.append((UNSURE * min(1.0, 2 * verdict.p_yes), _unsure(verdict.p_yes)))
    if verdict.answer == "unclear":
        signs.append((UNCLEAR, f"a reply was neither yes nor no ({verdict.reply[:40]!r})"))
    given = answers.of_others(verdict)
    if "yes" in given:
        asked = "a proper noun" if verdict.kind == "proper noun" else f"a subcategory of {label!r}"
        signs.append((JUDGE_DISAGREES * given.count("yes") / len(given), f"another judge calls it {asked}"))
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
    if "".join(id_words).startswith("".join(words)):
        return None  # 'earthstar' and 'earth star fungus'
    for word in words:
        for id_word in id_words:
            inside = len(id_word) >= 4 and word.startswith(id_word)
            if inside or difflib.SequenceMatcher(None, word, id_word).ratio() >= SPELT_ALIKE:
                return word, id_word
    return None


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") else word


def _depth_in_similarity(rejections: Iterable[Verdict]) -> dict[Subject, float]:
    """From 0 for the most similar negative and ID class to 1 for the least, where it is known."""
    paired = {v.subject: v.similarity for v in rejections if v.kind == "subcategory" and v.similarity is not None}
    known = pd.Series(list(paired.values()), dtype=float)
    if known.count() < FEW:
        return {}
    depths = known.rank(ascending=False, pct=True)
    return {subject: float(depth) for subject, depth in zip(paired, depths, strict=True) if depth == depth}
