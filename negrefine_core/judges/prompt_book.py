"""The prompt sets that a run can be asked in: those of the program, the user's own, and those with his decisions."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

from ..decisions import DROPPED, in_force
from ..errors import NegRefineError
from ..lexicon import WordNet
from ..prompts import BUILT_IN, PAPER, Answered, Example, PromptSet, with_examples
from ..records import Verdict
from ..run_files.prompt_sets import FILE, read_prompt_sets, write_prompt_sets
from ..runs import Run
from .wording import Glossary, Wording


@dataclass(frozen=True)
class PromptBook:
    """Prompt sets, of those with one name the last counting, the person's `decided` questions that they may show, and
    the ID labels that the questions are about."""

    sets: tuple[PromptSet, ...] = tuple(BUILT_IN.values())
    decided: tuple[Example, ...] = ()
    id_labels: tuple[str, ...] = ()
    wordnet: str = "bundled"

    @classmethod
    def of(cls, run: Run) -> Self:
        own = read_prompt_sets(run.path(FILE))
        return cls((*BUILT_IN.values(), *own), tuple(_decided(run)), tuple(run.id_labels), run.settings.wordnet)

    @property
    def latest(self) -> list[PromptSet]:
        """The last set of each name."""
        return list({prompts.name: prompts for prompts in self.sets}.values())

    def named(self, name: str) -> PromptSet:
        """The last set of this name. Raises NegRefineError where there is none."""
        found = {prompts.name: prompts for prompts in self.latest}
        if name not in found:
            raise NegRefineError(f"no prompt set {name[:60]!r}; there are: {', '.join(found)}")
        return found[name]

    def find(self, name: str) -> PromptSet:
        """The set of this version, else the last of this name, with the decisions that it shows.

        Raises NegRefineError where there is none, or there are no decisions to show.
        """
        by_version = {prompts.version: prompts for prompts in self.sets if prompts.examples or not prompts.shows}
        return by_version[name] if name in by_version else with_examples(self.named(name), self.decided)

    def with_sets(self, sets: Iterable[PromptSet]) -> Self:
        """With sets that no run has kept yet."""
        return replace(self, sets=(*self.sets, *sets))

    def wording(self, name: str = PAPER.name) -> Wording:
        return Wording(self.find(name), Glossary(self.id_labels, _wordnet(self.wordnet)))


@lru_cache(maxsize=2)
def _wordnet(source: str) -> WordNet:
    """One for all wordings: it takes seconds to load."""
    return WordNet(source)


def keep(run: Run, prompts: PromptSet) -> None:
    """Keep a set in the run, so that whoever reads its verdicts knows the words; what is there stays there.

    Raises NegRefineError for another set by a built-in one's name.
    """
    built_in = BUILT_IN.get(prompts.name)
    if prompts == built_in:
        return
    if built_in and _texts(prompts) != _texts(built_in):
        raise NegRefineError(
            f"{prompts.name!r} is the name of a prompt set that comes with the program; choose another"
        )
    with run.locked():
        others = [kept for kept in read_prompt_sets(run.path(FILE)) if kept != prompts]
        write_prompt_sets(run.path(FILE), [*others, prompts])


def carry_over(run: Run, to: Run) -> None:
    """Another run can be asked in this one's prompt sets too."""
    for prompts in read_prompt_sets(run.path(FILE)):
        keep(to, prompts)


def _texts(prompts: PromptSet) -> tuple[str, str, str]:
    return prompts.system, prompts.proper_noun, prompts.subcategory


def _decided(run: Run) -> Iterable[Example]:
    """What a person has decided on rejections, the latest first: a restored one was no proper noun, or no subcategory
    of that class; one that stays dropped is. What was kept stands for no single question."""
    rejected: dict[str, Verdict] = run.rejections if run.is_refined else {}
    for override in sorted(in_force(run.overrides).values(), key=lambda override: -override.number):
        verdict = rejected.get(override.negative)
        if verdict and verdict.kind != "same":
            answer: Answered = "yes" if override.new == DROPPED else "no"
            yield Example(verdict.negative, verdict.kind, verdict.id_label, answer)
