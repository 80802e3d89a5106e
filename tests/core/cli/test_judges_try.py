"""`negrefine judges try`: prompt sets and WordNet in one table, killed and resumed, and what stands in the way."""

import os
import signal
import subprocess
import sys

import pytest

from negrefine_core import cli, overrides, pipeline
from negrefine_core.cache import CachedEncoder
from negrefine_core.encoder import OpenClipEncoder
from negrefine_core.judges.wordnet import WordNetJudge
from negrefine_core.mining import Negative
from negrefine_core.runs import Run, Settings
from tests.support.jobs import HANG
from tests.support.loopback_server import Action, LoopbackServer
from tests.support.project import ROOT

IDS = ["cat", "dog"]
WORDS = ["oslo", "paris", "poodle", "beagle", "rust", "mud", "sky", "granite", "velvet", "banana", "bagel", "barn"]
WORDS += ["avocado", "comb", "lamp", "soap", "rope", "berlin", "rome", "fork", "spoon", "knife"]


@pytest.fixture
def run(tiny_model: str, encoder: OpenClipEncoder) -> Run:
    """Refined by WordNet; a person agrees with it on all labels but one."""
    run = Run.create("tried", Settings(model=tiny_model, n_groups=1), IDS)
    run.write_initial_negatives(Negative(word, "noun", 0.1) for word in WORDS)
    pipeline.refine(run, CachedEncoder(encoder), WordNetJudge())
    overrides.override(run, ["poodle"], "kept", "ann")
    overrides.confirm(run, WORDS, "ann")
    return run


@pytest.fixture
def tries(run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The command in this process: (exit code, stdout, stderr)."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["negrefine", "judges", "try", "--name", run.name, "--yes", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return command


@pytest.mark.slow
def test_killed_and_resumed_two_prompt_sets_and_wordnet_end_in_one_table_and_nothing_is_asked_twice(
    run: Run, tries
) -> None:
    children: list[subprocess.Popen[bytes]] = []

    def behave(prompt: str) -> Action:
        if len(server.asked) == 40:
            os.kill(children[0].pid, signal.SIGKILL)
            return Action(hang=True)
        return Action("Yes" if "'oslo'" in prompt else "No")

    with LoopbackServer(behave) as server:
        asked = ["--judge", "wordnet", "--judge", f"openai:m@{server.url}", "--prompts", "paper"]
        asked += ["--prompts", "glossed", "--in-flight", "1", "--prices", "1000,1000"]
        command = [sys.executable, "-m", "negrefine_core", "judges", "try", "--name", run.name, "--yes", *asked]
        children.append(subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL))
        assert children[0].wait(HANG) == -signal.SIGKILL
        assert len(server.answered) == 39
        code, out, err = tries(*asked)
        assert code == 0, err
        prompts = [prompt for _, prompt in server.answered]
        assert len(prompts) == len(set(prompts)) > 39
    title, head, *rows = out.splitlines()
    assert title.startswith("22 labels that people decided (the run's decisions)")
    assert head.split()[:3] == ["Judge", "Labels", "Agreement"]
    assert [row.partition("  ")[0] for row in rows[:3]] == ["wordnet", "m", "m (glossed)"]
    assert "95.5%" in rows[0]
    assert "  poodle: kept by people, dropped by the judge ('Yes' to subcategory of dog)" in rows
    assert run.judge == "wordnet"


@pytest.mark.slow
def test_a_judge_that_dies_is_named_beside_the_table_and_too_few_labels_are_told(run: Run, tries) -> None:
    with LoopbackServer(lambda prompt: Action(status=401)) as server:
        code, out, err = tries("--judge", f"openai:m@{server.url}", "--judge", "wordnet")
    assert code == 1
    assert [row.split()[0] for row in out.splitlines()[2:4]] == ["m", "wordnet"]
    assert "0 of 22" in out
    assert f"openai:m@{server.url}" in err
    assert "the same command goes on from there" in err
    overrides.undo(run, "ann", len(WORDS))
    code, _, err = tries()
    assert code == 1
    assert "decide on 20 more" in err
