"""How well the signs of doubt find the clear errors among the published rejections: python data/published/measure.py

The samples, 60 rejections by doubt and 60 at random, are drawn again: `decisions.csv` must decide on exactly these.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from negrefine_core.judges.agreement import spelling_trap, wordnet_contradicts
from negrefine_core.judges.doubts import doubts_of
from negrefine_core.lexicon import WordNet
from negrefine_core.overrides import KEPT
from negrefine_core.records import Verdict
from negrefine_core.run_files.bundled import PUBLISHED_RUN
from negrefine_core.runs import Run

DECISIONS = Path(__file__).with_name("decisions.csv")
SIZE, SEED = 60, 0


def samples(run: Run, wordnet: WordNet) -> dict[str, list[str]]:
    """Rejected labels: the most doubtful as Review orders them, and as many at random."""
    rejected = run.rejections
    labels = [negative.label for negative in run.reviewable if negative.label in rejected]
    found = doubts_of(run, wordnet).found
    doubtful = sorted(labels, key=lambda label: -found.get(label, (0.0, ""))[0])
    drawn = np.random.default_rng(SEED).choice(len(labels), SIZE, replace=False)
    return {"doubt": doubtful[:SIZE], "random": [labels[i] for i in sorted(drawn)]}


def signs(wordnet: WordNet) -> dict[str, Callable[[Verdict], bool]]:
    """What may speak against a rejection, each sign by itself."""

    def spelling(verdict: Verdict) -> bool:
        return verdict.kind == "subcategory" and spelling_trap(verdict.negative, verdict.id_label or "") is not None

    def gloss(verdict: Verdict) -> bool:
        """No definition of the negative names the ID class."""
        definitions = " ".join(sense.definition for sense in wordnet.senses(verdict.negative))
        named = set(re.findall(r"\w+", definitions)) & set(re.findall(r"\w+", verdict.id_label or ""))
        return verdict.kind == "subcategory" and bool(definitions) and not named

    return {"WordNet": lambda verdict: wordnet_contradicts(verdict, wordnet), "spelling": spelling, "gloss": gloss}


def share(errors: Sequence[bool]) -> str:
    """In percent, with Wilson's 95% interval and the counts."""
    interval = binomtest(sum(errors), len(errors)).proportion_ci(method="wilson")
    of = f"{sum(errors)} of {len(errors)}"
    return f"{100 * np.mean(errors):.0f}% ({100 * interval.low:.0f}–{100 * interval.high:.0f}; {of})"


def main() -> None:
    run, wordnet = Run.open(PUBLISHED_RUN), WordNet()
    decisions = pd.read_csv(DECISIONS).set_index("negative")["decision"]
    drawn, rejected = samples(run, wordnet), run.rejections
    if {label for labels in drawn.values() for label in labels} != set(decisions.index):
        raise SystemExit(f"{DECISIONS} decides on other labels than are drawn now: the signs of doubt have changed")
    print(f"| {SIZE} rejections | clear errors | " + " | ".join(f"found by {name}" for name in signs(wordnet)) + " |")
    print("|---|---|---|---|---|")
    for name, labels in drawn.items():
        wrong = [label for label in labels if decisions[label] == KEPT]
        right = [label for label in labels if label not in wrong]
        cells = [f"by {name}" if name == "doubt" else f"at {name}", share([label in wrong for label in labels])]
        for sign in signs(wordnet).values():
            found, false = (sum(sign(rejected[label]) for label in part) for part in (wrong, right))
            cells.append(f"{found} of {len(wrong)}, and {false} of {len(right)} others")
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
