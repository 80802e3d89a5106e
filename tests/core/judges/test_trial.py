"""Judges tried on decided labels: the figures against a naive count, what is undefined, and what was answered kept."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from negrefine_core import overrides, pipeline
from negrefine_core.errors import NegRefineError
from negrefine_core.judge import Judge, Question, Reply
from negrefine_core.judges.cache import CachedJudge
from negrefine_core.judges.doubts import work_out
from negrefine_core.judges.openai import OpenAIJudge
from negrefine_core.judges.panel import PanelJudge
from negrefine_core.judges.trial import Trial, artefacts, draw_sample, read_standard, trial, trials
from negrefine_core.judges.wordnet import WordNetJudge
from negrefine_core.lexicon import WordNet
from negrefine_core.mining import Negative
from negrefine_core.overrides import DROPPED, KEPT
from negrefine_core.run_files.doubts import Doubts
from negrefine_core.runs import Run, Settings
from tests.support.loopback_server import Action, LoopbackServer
from tests.support.refine_child import HashEncoder

IDS = ["cat", "dog"]
NAMES = ["oslo", "paris", "berlin", "rome", "madrid", "lisbon"]
PLAIN = [
    "rust",
    "mud",
    "sky",
    "granite",
    "velvet",
    "banana",
    "bagel",
    "barn",
    "avocado",
    "comb",
    "lamp",
    "soap",
    "rope",
]
DOGS = ["poodle", "terrier", "beagle", "hound"]
WORDS = [*NAMES, *PLAIN, *DOGS]


class OddJudge:
    """Calls the words with an "a" in them proper nouns, and is unclear on mud."""

    concurrency = 3
    identity = "odd"

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def ask(self, question: Question) -> Reply:
        if question.negative == "mud":
            return Reply("Perhaps", 0.5)
        is_yes = question.kind == "proper noun" and "a" in question.negative
        return Reply("Yes" if is_yes else "No", 0.5)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Refined by WordNet, and all of it decided by a person, on "banana" and "oslo" otherwise than the judge."""
    run = Run.create("r", Settings(n_groups=1), IDS, tmp_path)
    run.write_initial_negatives(Negative(word, "noun", 0.1) for word in WORDS)
    pipeline.refine(run, HashEncoder(), WordNetJudge())  # type: ignore[arg-type]
    overrides.override(run, ["banana"], DROPPED, "ann")
    overrides.override(run, ["oslo"], KEPT, "ann")
    overrides.confirm(run, WORDS, "ann")
    return run


def tried(run: Run, judge: Judge) -> Trial:
    return pipeline.try_judge(run, HashEncoder(), judge, read_standard(run))  # type: ignore[arg-type]


def test_the_figures_are_those_of_a_naive_count_with_intervals_around_them(run: Run) -> None:
    found = tried(run, OddJudge())
    kept = {negative.label for negative in run.negatives}
    people = {word: word not in kept for word in WORDS}
    judge = {word: "a" in word and word != "mud" for word in WORDS}
    both = sum(people[word] and judge[word] for word in WORDS)
    assert found.agreement.value == pytest.approx(sum(people[word] == judge[word] for word in WORDS) / len(WORDS))
    assert found.kappa.value == pytest.approx(cohen_kappa_score(list(people.values()), list(judge.values())))
    assert found.precision.value == pytest.approx(both / sum(judge.values()))
    assert found.recall.value == pytest.approx(both / sum(people.values()))
    assert {each.label for each in found.disagreements} == {word for word in WORDS if people[word] != judge[word]}
    for figure in (found.agreement, found.kappa, found.precision, found.recall):
        assert figure.value is not None
        assert figure.bounds
        assert figure.bounds.low <= figure.value <= figure.bounds.high
    generator, draws = np.random.default_rng(0), []
    for drawn in generator.integers(len(WORDS), size=(1000, len(WORDS))):
        draws.append(np.mean([people[WORDS[i]] == judge[WORDS[i]] for i in drawn]))
    assert found.agreement.bounds
    assert [found.agreement.bounds.low, found.agreement.bounds.high] == pytest.approx(np.percentile(draws, [2.5, 97.5]))
    rejected = sum(judge.values())
    assert (found.questions, found.asked) == (rejected + 3 * (len(WORDS) - rejected),) * 2
    assert (found.unclear, found.rejected, found.is_whole) == (3, rejected, True)
    assert found.seconds == 0.5 * found.questions
    assert found.cost((1e6, 0.0)) == found.sent_tokens > 0


def test_a_trial_changes_no_decision_and_refining_with_its_judge_asks_only_what_is_new(run: Run) -> None:
    before, judge = run.negatives, run.judge
    first = tried(run, OddJudge())
    assert (run.negatives, run.judge) == (before, judge)
    again = tried(run, OddJudge())
    assert (again.asked, again.disagreements) == (0, first.disagreements)
    lines = len(run.verdicts)
    pipeline.refine(run, HashEncoder(), OddJudge())  # type: ignore[arg-type]
    assert len(run.verdicts) == lines
    best, second = trials(run, read_standard(run))
    assert (best.judge, second.judge, best.asked) == ("wordnet", "odd", 0)


def test_what_is_undefined_is_said_and_too_few_decided_labels_are_refused(run: Run, tmp_path: Path) -> None:
    alike = tmp_path / "alike.csv"
    alike.write_text("negative,decision\n" + "".join(f"{word},kept\n" for word in [*PLAIN, *NAMES, "unheard"]))
    standard = read_standard(run, alike)
    assert (standard.unknown, standard.dropped) == (("unheard",), 0)
    found = trial(run, read_standard(run, alike), "wordnet")
    assert (found.kappa.value, found.recall.value, found.kappa.bounds) == (None, None, None)
    assert "people kept every label" in found.kappa.why
    with pytest.raises(NegRefineError, match=r"19 labels of the run are decided.* decide on 1 more"):
        pipeline.try_judge(run, HashEncoder(), OddJudge(), standard)  # type: ignore[arg-type]
    assert "odd" not in {verdict.judge for verdict in run.verdicts}


def test_what_the_figures_owe_to_the_choice_of_the_labels_is_said(run: Run, tmp_path: Path) -> None:
    nothing = Doubts("", {})
    assert artefacts(run, read_standard(run), nothing) == []
    file = tmp_path / "rejected.csv"
    file.write_text("negative,decision\noslo,kept\n" + "".join(f"{word},dropped\n" for word in DOGS[:3]))
    (note,) = artefacts(run, read_standard(run, file), nothing)
    assert note.startswith("wordnet rejected all 4 labels: its recall of 100% and kappa of 0 are so by construction")
    found = trial(run, read_standard(run, file), "wordnet")
    assert (found.recall.value, found.recall.bounds) == (1.0, None)  # no interval of a figure that cannot move
    assert (found.kappa.value, found.kappa.bounds) == (0.0, None)
    file.write_text("negative,decision\noslo,kept\nrust,kept\n")
    assert artefacts(run, read_standard(run, file), nothing) == [
        "People kept all 2 labels: a precision of 0% is so by construction"
    ]
    by_doubt = artefacts(run, read_standard(run, file), Doubts("", {"oslo": (0.9, ""), "rust": (0.8, "")}))
    assert "2 of the labels are among the 2 most doubtful of the run" in by_doubt[1]


def test_a_panels_judge_that_dies_loses_no_answer_and_the_next_try_goes_on(run: Run, tmp_path: Path) -> None:
    dead = False

    def behave(prompt: str) -> Action:
        nonlocal dead
        dead = dead or "'velvet' a proper" in prompt
        return Action("No", status=401 if dead else 200)

    with LoopbackServer(behave) as server:
        member = CachedJudge(
            OpenAIJudge("m", server.url, api_key="key", retries=0, concurrency=1), tmp_path / "replies"
        )
        panel = PanelJudge("any", [WordNetJudge(), member])
        with pytest.raises(NegRefineError, match=r"of the panel, does not answer"):
            tried(run, panel)
        so_far = trial(run, read_standard(run), panel.identity)
        assert 0 < so_far.decided < so_far.labels
        assert not so_far.is_whole
        answered = len(server.answered)
        server.behave = lambda prompt: Action("No")
        found = tried(run, panel)
        prompts = [prompt for _, prompt in server.answered]
        assert len(prompts) == len(set(prompts)) > answered
        assert found.is_whole
        assert found.asked == len(prompts) - answered


def test_the_sample_to_decide_is_half_by_doubt_and_half_at_random_and_never_decided_before(
    run: Run, wordnet: WordNet
) -> None:
    overrides.undo(run, "ann", len(WORDS))
    assert not read_standard(run).decided
    overrides.confirm(run, NAMES[:2], "ann")
    doubts = work_out(run, wordnet)
    sample = draw_sample(run, doubts, 8, seed=1)
    assert sample == draw_sample(run, doubts, 8, seed=1) != draw_sample(run, doubts, 8, seed=2)
    assert len(set(sample)) == 8
    assert not {*NAMES[:2]} & {*sample}
    ranked = sorted((word for word in WORDS if word not in NAMES[:2]), key=lambda w: -doubts.found.get(w, (0, ""))[0])
    assert {*ranked[:4]} <= {*sample}
    assert len(draw_sample(run, doubts, 100)) == len(WORDS) - 2
