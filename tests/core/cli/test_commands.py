"""The command line: every step, clear errors without a traceback, and a run killed half-way that ends the same."""

import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from negrefine_core import cli, lexicon, paths
from negrefine_core.lexicon import bundled_first_lemmas
from negrefine_core.metrics import ood_metrics
from negrefine_core.runs import Run
from tests.support.pictures import write_pictures
from tests.support.project import ROOT
from tests.support.runs import write_run

SHORTENED = """
import sys
from negrefine_core import cli, lexicon
lemmas = lexicon.bundled_first_lemmas()
short = lemmas[::100] + tuple(lemma for lemma in lemmas if lemma[1] in ("adj.ppl", "noun.motive"))
lexicon.bundled_first_lemmas = lambda: short
cli.main()
"""  # a hundredth of the lexicon: the whole of it takes minutes
KILLED = """
import glob, os, signal, threading, time
pattern, size = os.environ["KILLED_AT"], int(os.environ["KILLED_AT_SIZE"])
def watch():
    while not any(os.path.getsize(file) > size for file in glob.glob(pattern)):
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)
threading.Thread(target=watch, daemon=True).start()
"""  # from within: on a busy machine a watch outside may be told when the run is over


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder / "pets", 10, classes=("dog", "cat"))
    write_pictures(folder / "far", 8, first_seed=50)
    (folder / "far" / "broken.png").write_bytes(b"text")
    return folder


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run a command in this process: (exit code, stdout, stderr)."""
    lemmas = bundled_first_lemmas()
    short = lemmas[::100] + tuple(lemma for lemma in lemmas if lemma[1] in ("adj.ppl", "noun.motive"))
    monkeypatch.setattr(lexicon, "bundled_first_lemmas", lambda: short)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["negrefine", *(str(argument) for argument in arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return run


def plain(text: str) -> str:
    return " ".join(re.sub(r"\x1b\[[0-9;]*m|[│╭╮╰╯─]", "", text).split())


def test_a_set_that_holds_images_of_id_classes_is_said_beside_its_figures(command, tmp_path: Path) -> None:
    run = write_run("contaminated", paths.RUNS, tmp_path)
    run.write_scores("sun", tmp_path, run.scores("food").iloc[:-1])
    code, out, err = command("evaluate", "--name", run.name, "--ood", "food", "--ood", "sun")
    assert (code, "sun (" in out) == (0, True), err
    notes = [line for line in err.splitlines() if line.startswith("Note: ")]
    assert notes == ["Note: sun holds images of ImageNet classes: where these are the ID classes, its figures say less"]


def test_figures_are_printed_by_another_convention_and_kept_by_the_papers(command, tmp_path: Path) -> None:
    run = write_run("conventions", paths.RUNS, tmp_path)
    code, out, err = command("evaluate", "--name", run.name, "--convention", "both")
    assert code == 0, err
    papers, other = out.split("In percent; ")[1:]
    assert "ID is the positive class;" in papers
    assert "OOD is the positive class of FPR@95;" in other
    kept = run.metrics["methods"]["NegRefine"]["food"]["fpr95"]
    inside, outside = (run.scores(name)["negrefine"] for name in ("animals", "food"))
    turned = ood_metrics(inside, outside, "ood-positive").fpr95
    assert kept == ood_metrics(inside, outside).fpr95 != turned
    for table, fpr95 in ((papers, kept), (other, turned)):
        assert re.search(rf"food \(30\) +NegRefine .* {100 * fpr95:.2f} ", table)
    code, _, err = command("evaluate", "--name", run.name, "--convention", "odd")
    assert (code, "--convention takes id, ood, both, pytorch-ood, not 'odd'" in err) == (1, True)


@pytest.mark.slow
def test_the_steps_end_in_a_table_of_metrics(command, pictures: Path, tiny_model: str, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("dog\n\ncat\nDOG\n", encoding="utf-8")
    code, out, err = command("mine", "--name", "steps", "--id-labels", tmp_path / "ids.txt", "--model", tiny_model,
                             "--device", "cpu", "--fraction", "0.5",
                             "--wordnet-file", "noun.plant", "--wordnet-file", "adj.ppl")  # fmt: skip
    assert code == 0, err
    settings = Run.open("steps").settings
    assert (settings.noun_files, settings.adjective_files) == (("noun.plant",), ("adj.ppl",))
    assert "Note: blank lines left out: 1" in err
    assert "Note: duplicates left out: 1 ('DOG')" in err
    assert re.search(r"[\d,]+ nouns and [\d,]+ adjectives mined: .*initial_negatives\.csv", out)
    code, out, err = command("refine", "--name", "steps", "--device", "cpu")
    assert code == 0, err
    assert re.search(r"[\d,]+ negatives kept; rejected: [\d,]+ proper nouns, \d+ subcategories, 0 equal to an ID", out)
    for name, count in (("pets", 10), ("far", 8)):
        code, out, err = command("score", "--name", "steps", pictures / name, "--device", "cpu")
        assert code == 0, err
        assert f"{count} images scored: " in out
    assert "1 unreadable images skipped" in err
    assert "broken.png (not a picture)" in err
    for asking in (("evaluate",), ("ablation", "--device", "cpu"), ("export", "scores.csv")):
        code, _, err = command(asking[0], "--name", "steps", *asking[1:])
        assert (code, "--id" in err) == (1, True), "nobody has said which set is ID"
    code, _, err = command("evaluate", "--name", "steps", "--id", "pets")
    assert (code, "nobody has said what these show: far. Name it" in err) == (1, True), "none is taken for OOD"
    code, out, err = command("evaluate", "--name", "steps", "--id", "pets", "--ood", "far")
    assert code == 0, err
    assert command("evaluate", "--name", "steps")[:2] == (0, out), "it has been said"
    assert "In percent; ID is the positive class; higher score = more ID. ID: pets (10)" in out
    for word in ("far (8)", "average", "MCM", "NegLabel", "CSP", "NegRefine", "AUROC (95% interval)", "FPR@95"):
        assert word in out
    again = ("score", "--name", "steps", pictures / "far", "--device", "cpu", "--role")
    assert command(*again, "unknown")[0] == 0
    assert "nobody has said what these show: far" in command("evaluate", "--name", "steps")[2]
    assert command(*again, "ood")[0] == 0
    assert command("evaluate", "--name", "steps")[:2] == (0, out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["refine", "--name", "nowhere"], "no run 'nowhere'"),
     (["refine", "--name", "x" * 300], "no run"),
     (["score", "--name", "x", "{pictures}/far", "--role", "mine"], "--role takes id, ood, unknown, not 'mine'"),
     (["evaluate", "--name", "nowhere", "--id", "a"], "no run 'nowhere'"),
     (["mine", "--name", "../x", "--id-labels", "imagenet", "--model", "demo"], "'../x' cannot name a run"),
     (["mine", "--name", "bad", "--id-labels", "/no/such/file.txt"], "cannot read the class list /no/such/file.txt"),
     (["mine", "--name", "bad", "--id-labels", "dog," * 200], "cannot read the class list"),
     (["mine", "--name", "bad", "--id-labels", "imagenet", "--fraction", "0"], "fraction"),
     (["mine", "--name", "bad", "--id-labels", "imagenet", "--fraction", "7"], "fraction"),
     (["mine", "--name", "bad", "--id-labels", "imagenet", "--wordnet-file", "noun.ship"], "no lexicographer file"),
     (["mine", "--name", "bad", "--id-labels", "imagenet", "--model", "ViT-B-99"], "open_clip has no model 'ViT-B-99'"),
     (["mine", "--name", "bad", "--id-labels", "imagenet", "--model", "local-dir:/no"], "cannot load the weights"),
     (["run", "--name", "bad", "--id-images", "/no/such/folder"], "no folder /no/such/folder; check the path"),
     (["run", "--name", "bad", "--id-images", "{pictures}/far", "--ood", "{pictures}/pets"], "has no class folders"),
     (["run", "--name", "bad", "--id-images", "{pictures}/pets", "--ood", "{pictures}/pets"], "the same name"),
     (["run", "--name", "bad", "--id-images", "{pictures}/pets", "--ood", "../x={pictures}/far"], "cannot name"),
     (["run", "--name", "bad", "--id-images", "{pictures}/pets", "--ood", "{pictures}/pets/none"], "no folder")],
)  # fmt: skip
def test_bad_input_ends_in_one_line_that_says_what_to_do(
    command, pictures: Path, arguments: list[str], message: str
) -> None:
    shutil.rmtree(paths.RUNS / "bad", ignore_errors=True)
    code, _, err = command(*(argument.replace("{pictures}", str(pictures)) for argument in arguments))
    assert code in (1, 2), err  # 2: the option parser's own
    assert "Error" in err
    assert message in plain(err)
    assert "Traceback" not in err
    assert not (paths.RUNS / "bad").exists() or message.startswith(("open_clip", "cannot load"))


def test_an_unexpected_device_is_one_line_too(command, tiny_model: str) -> None:
    code, _, err = command(
        "mine", "--name", "device", "--id-labels", "imagenet", "--model", tiny_model, "--device", "tpu9"
    )
    assert (code, "device 'tpu9' cannot be used" in plain(err)) == (1, True)


def test_other_settings_for_the_same_name_are_refused(command, tiny_model: str, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("dog\ncat\n", encoding="utf-8")
    base = ("mine", "--name", "twice", "--id-labels", tmp_path / "ids.txt", "--model", tiny_model, "--device", "cpu")
    assert command(*base)[0] == 0
    code, _, err = command(*base, "--seed", "3")
    assert code == 1
    assert "Error: the run 'twice' was made with other settings: seed 0 -> 3" in plain(err)


def test_a_name_over_the_context_is_noted_and_not_fatal(command, tiny_model: str, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("dog\n" + "very " * 30 + "long cat\n", encoding="utf-8")
    code, _, err = command("mine", "--name", "long", "--id-labels", tmp_path / "ids.txt", "--model", tiny_model,
                           "--device", "cpu")  # fmt: skip
    assert code == 0
    assert "longer than the model's context, so its end is not read: 'very very" in plain(err)


def test_help_carries_examples_that_name_real_commands(command) -> None:
    code, out, _ = command("--help")
    assert code == 0
    for step in ("run", "mine", "refine", "score", "evaluate"):
        assert f"negrefine {step}" in plain(out)
        assert command(step, "--help")[0] == 0


@pytest.mark.slow
def test_an_error_prints_no_traceback_from_the_shell_either() -> None:
    done = subprocess.run([sys.executable, "-m", "negrefine_core", "refine", "--name", "nowhere"], cwd=ROOT,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("Error: no run 'nowhere'")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_run_killed_half_way_resumes_and_ends_with_the_same_files(
    pictures: Path, tiny_model: str, tmp_path: Path
) -> None:
    def start(data: Path, killed_at: Path | None = None, size: int = 0) -> subprocess.Popen[bytes]:
        moment = {"KILLED_AT": str(killed_at), "KILLED_AT_SIZE": str(size)}
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-c", KILLED + SHORTENED if killed_at else SHORTENED, "run",
             "--name", "killed", "--model", tiny_model, "--device", "cpu", "--fraction", "0.5",
             "--id-images", str(pictures / "pets"), "--ood", str(pictures / "far")],
            cwd=ROOT, env=os.environ | {"NEGREFINE_DATA": str(data)} | moment, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    whole, killed = tmp_path / "whole" / "runs" / "killed", tmp_path / "killed" / "runs" / "killed"
    uninterrupted = start(tmp_path / "whole")
    moments = (  # a file, and the size above which it is time
        (tmp_path / "killed" / "cache" / "features" / "*" / "texts" / "features.f32", 0),  # the lexicon is embedded
        (killed / "verdicts.jsonl", 5_000),  # the judge is asked
        (killed / "scores" / "pets.parquet", 0),  # images are scored
    )
    for file, size in moments:
        assert start(tmp_path / "killed", file, size).wait() == -signal.SIGKILL, "it ended before it was killed"
    assert start(tmp_path / "killed").wait() == 0
    assert uninterrupted.wait() == 0
    for name in ("id_labels.txt", "initial_negatives.csv", "neglabel_negatives.csv", "negatives.csv", "run.json",
                 "skipped.csv", "metrics.json"):  # fmt: skip
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    for name in ("pets", "far"):
        first, second = (pd.read_parquet(run / "scores" / f"{name}.parquet") for run in (killed, whole))
        assert first.equals(second)
    logs = [
        [
            {k: v for k, v in json.loads(line).items() if k not in ("time", "latency", "check")}
            for line in log.splitlines()
        ]
        for log in ((run / "verdicts.jsonl").read_text(encoding="utf-8") for run in (killed, whole))
    ]
    assert logs[0] == logs[1]


STOPPED = KILLED.replace("signal.SIGKILL", "signal.SIGINT")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "size", "kept"),
    [
        ("cache/features/*/texts/features.f32", 0, "What was embedded, answered and scored is kept"),
        ("runs/stopped/verdicts.jsonl", 5_000, "What was embedded, answered and scored is kept"),
    ],
)
def test_a_command_that_a_person_stops_says_what_is_kept_and_how_to_go_on(
    file: str, size: int, kept: str, pictures: Path, tiny_model: str, tmp_path: Path
) -> None:
    arguments = ["run", "--name", "stopped", "--model", tiny_model, "--device", "cpu", "--fraction", "0.5",
                 "--id-images", str(pictures / "pets"), "--ood", str(pictures / "far")]  # fmt: skip
    moment = {"NEGREFINE_DATA": str(tmp_path), "KILLED_AT": str(tmp_path / file), "KILLED_AT_SIZE": str(size)}
    done = subprocess.run(
        [sys.executable, "-c", STOPPED + SHORTENED, *arguments],
        cwd=ROOT, env=os.environ | moment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 130, done.stderr
    assert kept in done.stderr
    assert done.stderr.endswith(f"    {shlex.join(['negrefine', *arguments])}\n")
    assert "Traceback" not in done.stderr
    assert "1 of 5: Mining the negatives" in done.stderr


def test_a_no_before_questions_are_sent_says_what_is_kept(
    command, pictures: Path, tiny_model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ids.txt").write_text("dog\ncat\n", encoding="utf-8")
    command("mine", "--name", "unsent", "--id-labels", tmp_path / "ids.txt", "--model", tiny_model, "--device", "cpu")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    code, _, err = command("refine", "--name", "unsent", "--judge", "openai", "--judge-model", "m",
                           "--base-url", "http://127.0.0.1:9/v1", "--device", "cpu")  # fmt: skip
    assert code == 1
    assert "Every answer so far is in the run's verdicts.jsonl" in err
    assert "negrefine refine --name unsent" in err
