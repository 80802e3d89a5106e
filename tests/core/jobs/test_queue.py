"""Background jobs in processes of their own: they outlive whoever started them, can be ended, and lose nothing."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

from negrefine_core import jobs, label_maps, lexicon, paths, pipeline, run_maps
from negrefine_core.cache import CachedEncoder
from negrefine_core.encoder import OpenClipEncoder
from negrefine_core.errors import NegRefineError
from negrefine_core.image_sets import open_image_set
from negrefine_core.jobs import DrawMap, Evaluate, Job, Mine, Progress, Refine, Score, Spec, worker
from negrefine_core.judges.openai import OpenAIJudge
from negrefine_core.runs import Run, Settings
from tests.support.jobs import until
from tests.support.loopback_server import Action, LoopbackServer
from tests.support.pictures import write_pictures
from tests.support.project import ROOT
from tests.support.runs import IDS, WORDS, refined_run

KEY = "sk-very-secret-0123456789"
pytestmark = pytest.mark.usefixtures("no_jobs_left")


@pytest.fixture
def run(tiny_model: str, request: pytest.FixtureRequest) -> Run:
    return refined_run(request.node.name[:70], tiny_model)


def refinement(run: Run, server: LoopbackServer) -> Spec:
    return Spec(title="Refine", run=run.name, steps=(Refine(judge=f"openai:m@{server.url}", in_flight=2),))


def says_yes_to_some(prompt: str) -> Action:
    return Action("Yes" if len(prompt) % 3 == 0 else "No", delay=0.01)


def worker_of(job: Job) -> int:
    return int((job.folder / "lock").read_text())


@pytest.mark.slow
def test_scoring_in_the_background_gives_the_files_of_scoring_in_the_foreground(
    run: Run, encoder: OpenClipEncoder, tmp_path: Path
) -> None:
    roots = {
        "animals": write_pictures(tmp_path / "animals", 7, 9000),
        "things": write_pictures(tmp_path / "things", 5, 9100),
    }
    (roots["things"] / "text.png").write_text("hello")
    model = {"name": "tiny", "fingerprint": encoder.fingerprint, "precision": encoder.precision}
    run.update_info(model=model)
    steps = (
        Score(image_set="animals", folder=str(roots["animals"]), role="ID"),
        Score(image_set="things", folder=str(roots["things"]), role="OOD"),
        Evaluate(),
        DrawMap(image_sets=("animals", "things")),
        DrawMap(),
    )
    job = jobs.start(Spec(title="Score", run=run.name, steps=steps, device="cpu"))
    until(lambda: job.state not in jobs.ACTIVE)
    assert (job.state, job.error) == ("done", "")
    assert job.progress.messages == (
        "7 images of animals scored", "5 images of things scored, 1 skipped as unreadable",
        "metrics of animals against things", "the map of 12 images is drawn", "the map of 18 labels is drawn",
    )  # fmt: skip
    measured = [(speed.fingerprint, speed.images, speed.embedded) for speed in job.progress.speeds]
    assert measured == [(encoder.fingerprint, 7, 7), (encoder.fingerprint, 5, 5)]
    assert (run.id_sets, run.id_set, run.metrics["id_set"]) == (["animals"], "animals", "animals")

    images = run_maps.read(run_maps.of_images(run, ("animals", "things"), "tsne"))
    labels = label_maps.by_model(run, CachedEncoder(encoder))
    drawn = run_maps.read(labels.key("tsne"))
    assert images
    assert drawn
    assert (images.rows.tolist(), drawn.rows.tolist()) == (list(range(12)), list(range(18)))
    with_bare = encoder.encode_labels([*IDS, *WORDS], pipeline.noun_templates(run))
    assert labels.vectors == pytest.approx(with_bare.numpy(), abs=1e-5)

    foreground = Run.create(f"{run.name[:60]}-again", run.settings, IDS)
    foreground.update_info(model=model)
    foreground.write_initial_negatives(run.initial_negatives)
    foreground.write_negatives(run.negatives)
    pipeline.score(foreground, CachedEncoder(encoder), [open_image_set(root, name) for name, root in roots.items()])
    pipeline.evaluate(foreground, "animals", ["things"])
    for name in roots:
        pd.testing.assert_frame_equal(run.scores(name), foreground.scores(name))
    assert run.metrics == foreground.metrics
    assert run.skipped.equals(foreground.skipped)


@pytest.mark.slow
def test_one_job_at_a_time_and_a_killed_one_goes_on_to_the_same_files(
    run: Run, encoder: OpenClipEncoder, tmp_path: Path
) -> None:
    scoring = Spec(
        title="Score", run=run.name, steps=(Score(image_set="few", folder=str(write_pictures(tmp_path / "few", 2))),)
    )
    with LoopbackServer() as server:
        server.behave = lambda prompt: Action(hang=True) if len(server.asked) > 30 else says_yes_to_some(prompt)
        first = jobs.start(refinement(run, server))
        second = jobs.start(scoring)
        until(lambda: server.in_flight == 2 and len(server.asked) == 32)
        until(lambda: second.progress.device == "cpu")
        assert (first.state, first.progress.step) == ("running", "Judging the negatives")
        time.sleep(0.3)
        assert second.state == "queued"

        os.kill(worker_of(first), signal.SIGKILL)
        until(lambda: first.state == "interrupted")
        until(lambda: second.state == "done")
        answered = {prompt for _, prompt in server.answered}
        server.behave, server.asked = says_yes_to_some, []
        first.resume()
        first.resume()  # a second tab: one worker all the same
        until(lambda: first.state not in jobs.ACTIVE)
        assert first.state == "done", first.error
        assert answered.isdisjoint(prompt for _, prompt in server.asked)
        kept = [negative.label for negative in run.negatives]

        calm = Run.create(f"{run.name[:60]}-calm", run.settings, IDS)
        calm.write_initial_negatives(run.initial_negatives)
        pipeline.refine(calm, CachedEncoder(encoder), OpenAIJudge("m", server.url))
    assert 0 < len(kept) < len(WORDS)
    assert kept == [negative.label for negative in calm.negatives]


@pytest.mark.slow
def test_a_cancelled_jobs_process_is_gone_even_where_it_does_not_listen(run: Run) -> None:
    with LoopbackServer(lambda prompt: Action(hang=True)) as server:
        job = jobs.start(refinement(run, server))
        until(lambda: server.in_flight)
        job.cancel()
        assert not job.is_alive
        assert job.state == "cancelled"
        job.cancel()  # again: nothing
        server.stop()
    with LoopbackServer(lambda prompt: Action(hang=True), server.port) as again:
        job.resume()
        assert job.state == "queued"
        until(lambda: again.in_flight)
        os.kill(worker_of(job), signal.SIGSTOP)  # as if it were deep in a computation
        job.cancel()
        assert not job.is_alive
    assert job.state == "cancelled"
    assert {path.name for path in run.folder.rglob(".*")} <= {".lock"}  # nothing half-written


@pytest.mark.slow
@pytest.mark.parametrize("content", ["", "0", "own"])
def test_a_job_whose_process_id_is_unknown_or_anothers_is_cancelled_all_the_same(run: Run, content: str) -> None:
    with LoopbackServer(lambda prompt: Action(hang=True)) as server:
        job = jobs.start(refinement(run, server))
        until(lambda: server.in_flight)
        (job.folder / "lock").write_text(str(os.getpid()) if content == "own" else content)
        job.cancel()
    assert not job.is_alive
    assert job.state == "cancelled"


@pytest.mark.slow
def test_a_worker_notes_its_process_id_itself_and_heeds_a_cancel_from_before(run: Run) -> None:
    job = written("queued", int(time.time_ns()))
    for is_cancelled in (False, True):
        spec = Spec(title="x", run=run.name, steps=())
        (job.folder / "job.json").write_text(spec.model_dump_json())
        job.write(Progress("queued", queued=1.0))
        (job.folder / "lock").write_bytes(b"")
        if is_cancelled:
            (job.folder / "cancelled").touch()
        arguments = [sys.executable, "-P", "-m", "negrefine_core.jobs.worker", str(job.folder)]
        environment = os.environ | {"NEGREFINE_DATA": str(paths.DATA)}
        with subprocess.Popen(arguments, env=environment) as started:
            assert started.wait() == (jobs.queue.STOPPED if is_cancelled else 0)
        assert worker_of(job) == started.pid
        assert job.state == ("cancelled" if is_cancelled else "done")


@pytest.mark.slow
def test_a_job_that_waits_for_a_server_says_for_whom_and_is_cancelled_meanwhile(run: Run) -> None:
    with LoopbackServer(lambda prompt: Action(hang=True)) as server:
        job = jobs.start(refinement(run, server))
        until(lambda: job.progress.waiting)
        assert job.progress.waiting.startswith(f"waiting for {server.url}, ")
        job.cancel()
    assert job.state == "cancelled"


@pytest.mark.slow
def test_the_key_goes_to_the_server_and_into_no_file_nor_argument(run: Run) -> None:
    with LoopbackServer(lambda prompt: Action(status=401)) as server:
        job = jobs.start(refinement(run, server), api_key=KEY)
        until(lambda: job.state == "failed")
        assert "refuses the key" in job.error
        server.behave = lambda prompt: Action(hang=True)
        job.resume(api_key=KEY)
        until(lambda: server.in_flight)
        assert KEY.encode() not in Path(f"/proc/{worker_of(job)}/cmdline").read_bytes()
        assert any(f"Bearer {KEY}" in head for head in server.headers)
        job.cancel()
    log = (job.folder / "log").read_text()
    assert "refuses the key" in log
    for path in paths.DATA.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path


@pytest.mark.slow
def test_a_job_outlives_the_process_that_started_it(run: Run, tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "few", 2)
    script = (
        "import sys; from negrefine_core.jobs import *; "
        "print(start(Spec(title='x', run=sys.argv[1], steps=(Score(image_set='few', folder=sys.argv[2]),))).id)"
    )
    arguments = [sys.executable, "-c", script, run.name, str(folder)]
    environment = os.environ | {"NEGREFINE_DATA": str(paths.DATA)}
    said = subprocess.run(arguments, env=environment, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    job = jobs.find(said.strip())
    assert job
    assert job.state in jobs.ACTIVE
    until(lambda: job.state == "done")
    assert run.scored_sets == ["few"]


@pytest.mark.slow
def test_a_whole_run_is_one_bar_over_named_steps_that_never_goes_back(
    tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lemmas = lexicon.bundled_first_lemmas()
    few = lemmas[::200] + tuple(lemma for lemma in lemmas if lemma[1] in ("adj.ppl", "noun.motive"))
    monkeypatch.setattr(lexicon, "bundled_first_lemmas", lambda: few)
    run = Run.create("one-bar", Settings(model=tiny_model, n_groups=2), IDS)
    steps = (
        Mine(),
        Refine(judge="wordnet"),
        Score(image_set="in", folder=str(write_pictures(tmp_path / "in", 3)), role="ID"),
        Score(image_set="out", folder=str(write_pictures(tmp_path / "out", 4, 50)), role="OOD"),
        Evaluate(),
    )
    job, told = written("queued", int(time.time_ns())), list[Progress]()
    (job.folder / "job.json").write_text(Spec(title="All", run=run.name, steps=steps, device="cpu").model_dump_json())
    monkeypatch.setattr(worker, "WRITE_EVERY", 0)
    monkeypatch.setattr(Job, "write", lambda _, progress: told.append(progress))
    worker.work(job)
    assert list(dict.fromkeys((each.number, each.step, each.unit) for each in told if each.total and each.step)) == [
        (1, "Mining the negatives", "prompts"),
        (2, "Judging the negatives", "labels"),
        (3, "Scoring in", "images"),
        (4, "Scoring out", "images"),
        (5, "Computing the metrics", "comparisons"),
    ]  # each once, NegLabel's own mining within the first
    shares = [each.share for each in told]
    assert shares == sorted(shares)
    assert shares[-2] < shares[-1] == 1
    assert {each.total for each in told if each.number == 1 and each.total} == {sum(worker._prompts(run))}
    left = [each.eta for each in told]
    assert left[0] is left[-1] is None
    assert all(seconds >= 0 for seconds in left if seconds is not None)


# --- without a worker ------------------------------------------------------------------------------------------------


def written(state: str, number: int) -> Job:
    """A job's folder as a worker leaves it."""
    job = Job(jobs.queue.JOBS / f"{number:019}-made")
    job.folder.mkdir(parents=True)
    spec = Spec(title=f"made {number}", run="x", steps=())
    (job.folder / "job.json").write_text(spec.model_dump_json())
    job.write(Progress(state, queued=1.0))  # type: ignore[arg-type]
    return job


def test_a_process_id_that_is_now_another_process_is_left_alone() -> None:
    job = written("running", 1)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as other:
        (job.folder / "lock").write_text(str(other.pid))
        assert job.state == "interrupted"
        job.cancel()
        assert other.poll() is None
        other.communicate(b"\n")


def test_only_the_last_ended_jobs_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(jobs.queue, "JOBS", tmp_path)
    for number in range(25):
        written("done", number)
    newest = jobs.start(Spec(title="nothing", run="no-such-run", steps=()))
    assert len(jobs.all_jobs()) == jobs.queue.KEPT
    assert jobs.all_jobs()[0].id == newest.id
    until(lambda: newest.state == "failed")
    assert "no run 'no-such-run'" in newest.error


DAMAGED = [
    b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 9999, b'{"state": "done"}', b'{"state": "done", "x": 1}',
    b'{"state": "gone", "queued": 1}', b'{"state": "running", "queued": 1, "done": "many"}',
    b'{"state": "running", "queued": 1, "total": null}', b'{"state": "running", "queued": 1, "messages": [1]}',
    b'{"state": "running", "queued": 1, "speeds": [{}]}',
]  # fmt: skip


@pytest.mark.parametrize("content", DAMAGED)
def test_damaged_files_end_no_page(content: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(jobs.queue, "JOBS", tmp_path)
    job, other = written("running", 1), written("done", 2)
    (job.folder / "progress.json").write_bytes(content)
    (other.folder / "job.json").write_bytes(content)
    assert [(found.id, found.state) for found in jobs.all_jobs()] == [(job.id, "interrupted")]


@pytest.mark.parametrize("name", ["job.json", "progress.json", "lock", "cancelled", "log"])
def test_a_folder_in_the_place_of_a_jobs_file_ends_no_page_and_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(jobs.queue, "JOBS", tmp_path)
    job, other = written("running", 1), written("done", 2)
    (job.folder / name).unlink(missing_ok=True)
    (job.folder / name / "x").mkdir(parents=True)
    assert other.id in [found.id for found in jobs.all_jobs()]
    assert job.state in ("interrupted", "cancelled")
    if name in ("lock", "cancelled", "log"):
        with pytest.raises(NegRefineError, match=r"cannot start the job .*delete that folder"):
            job.resume()


def test_progress_of_a_newer_version_is_read_as_far_as_it_is_known() -> None:
    job = written("done", 3)
    path = job.folder / "progress.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"newer": 1}))
    assert job.state == "done"


def test_a_full_disk_still_takes_the_progress_into_its_old_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    job = written("running", 4)
    monkeypatch.setattr(paths, "write_atomically", full)
    job.write(Progress("failed", queued=1.0, error="cannot write it: the disk is full"))
    assert (job.state, job.error) == ("failed", "cannot write it: the disk is full")


def test_a_jobs_spec_is_a_plain_file_that_says_what_is_done() -> None:
    spec = Spec(title="Score", run="demo", steps=(Score(image_set="a", folder="/a"), Evaluate(id_set="a")))
    values = json.loads(spec.model_dump_json())
    assert values["steps"][0].items() >= {"step": "score", "image_set": "a", "folder": "/a", "role": None}.items()
    assert Spec.model_validate(values) == spec


@pytest.mark.parametrize(("is_id", "role"), [(True, "ID"), (False, "OOD"), (None, None)])
def test_a_job_of_before_roles_had_three_values_is_read(is_id: bool | None, role: str | None) -> None:
    assert Score.model_validate({"step": "score", "image_set": "a", "is_id": is_id}).role == role


def test_two_processes_that_write_the_runs_info_lose_nothing_of_each_other(run: Run) -> None:
    def write(name: str) -> None:
        for i in range(40):
            Run.open(run.name).set_role(f"{name}{i}", "ID")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(run.info.roles) >= {f"{name}{i}" for name in "abc" for i in range(40)}
