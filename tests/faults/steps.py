"""The steps that write, a row each: the state that it starts from, and what it does there."""

import io
import time
from collections.abc import Callable
from dataclasses import dataclass

from negrefine_app.score import uploads

from negrefine_core import marks, overrides, paths, pipeline, reviews, selections, sorting
from negrefine_core.benchmarks import ablation, seeds
from negrefine_core.benchmarks.experiments import Experiment
from negrefine_core.benchmarks.export import export_scores
from negrefine_core.errors import NegRefineError
from negrefine_core.jobs import queue, worker
from negrefine_core.judges import trial
from negrefine_core.reference import import_reference
from negrefine_core.run_files import bundled
from negrefine_core.runs import remove_image_set
from tests.faults.world import AROUND, IDS, SCORING, WHOLE, World, judge
from tests.support.pictures import png, zipped

WRITTEN = paths.DATA / "written"  # where exports go
PUBLISHED = AROUND / "published"
EXPERIMENT = Experiment(name="small", title="Small", id="animals", labels=str(AROUND / "classes.txt"), ood=("food",))


@dataclass(frozen=True)
class Step:
    """What is done, from which state of the data folder. One that has stages passes through states of its own."""

    name: str
    start: str
    do: Callable[[World], object]
    has_stages: bool = False
    starts_process: bool = False  # which may meet the fault in its place


def prepare() -> None:
    """What steps read that no state holds."""
    ablation.SHARES = (0.75, 0.9, 0.95, 1.0)  # smaller shares of so few labels are none
    trial.MIN_DECIDED = 10
    PUBLISHED.mkdir()
    (PUBLISHED / "initial_neg_labels_noun.txt").write_text("sky\nrock!\noslo\nmud\n", encoding="utf-8")
    (PUBLISHED / "initial_neg_labels_adj.txt").write_text("gooey place\n", encoding="utf-8")
    asked = ["sky | fox | ", "sky | oak | ", "rock | fox | ", "rock | oak | subcategory ", "oslo | proper noun "]
    asked += ["mud | fox | ", "mud | oak | "]
    (PUBLISHED / "llm_process_noun.txt").write_text("".join(f"{line}\n" for line in asked), encoding="utf-8")
    (PUBLISHED / "llm_process_adj.txt").write_text("gooey place | oak | \ngooey place | fox | \n", encoding="utf-8")
    (PUBLISHED / "neg_labels_noun.txt").write_text("sky\nmud\n", encoding="utf-8")
    (PUBLISHED / "neg_labels_adj.txt").write_text("gooey place\n", encoding="utf-8")
    (AROUND / "classes.txt").write_text("\n".join(IDS), encoding="utf-8")
    (AROUND / "decisions.csv").write_text(
        "negative,decision,reason,who\nirresistible impulse,dropped,from a file,eve\nagromania,kept,,eve\n",
        encoding="utf-8",
    )


def _override(decision: str, first: int, last: int) -> Callable[[World], object]:
    """A person decides on some of the labels that the judge kept."""
    return lambda world: overrides.override(world.run(), world.labels("kept")[first:last], decision, "fay", "because")


def _confirm(world: World) -> None:
    overrides.confirm(world.run(), world.labels("kept")[5:7], "fay", "agreed")


def _bulk(world: World) -> None:
    """What `override --kind kept --match o --to dropped` does."""
    run = world.run()
    chosen = overrides.select(overrides.review_table(run), kind="kept", match="o")
    overrides.override(run, chosen["label"], "dropped", "fay", "all of them")


def _import_decisions(world: World) -> None:
    overrides.import_csv(world.run(), AROUND / "decisions.csv", "gil")


def _import_reference(world: World) -> None:
    if (paths.RUNS / "published" / "run.json").exists():
        return  # done, and the command says so
    import_reference(PUBLISHED, "published", ["fox", "oak"])


def _upload(world: World) -> None:
    folder = world.run().path("images")
    if (folder / "sent").exists():
        return
    archive = zipped({f"cat/{i}.png": png(i) for i in range(3)})
    uploads.unpack([("all.zip", archive), ("one.png", io.BytesIO(png(9)))], folder, "sent")


def _benchmark(world: World) -> None:
    """What `negrefine benchmark` does, with one seed."""
    sets = [world.image_set_of("animals"), world.image_set_of("food")]
    run = seeds.start_seed(EXPERIMENT, "small", world.settings(), EXPERIMENT.labels, world.encoder)
    seeds.finish_seed(run, world.encoder, judge(), sets, workers=1)
    tables = [seeds.results(EXPERIMENT, [run], seeds.chosen_methods(""))]
    seeds.write("small", tables, seeds.markdown(EXPERIMENT, [run], tables))


def _ablation(world: World) -> None:
    variants, scores = ablation.scores(world.run(), world.encoder, ["animals", "food"])
    table = ablation.results(variants, scores, "animals")
    paths.write_atomically(WRITTEN / "ablation.csv", table.to_csv(index=False, float_format="%.4f"))


def _remove(world: World) -> None:
    if "own" in world.run().scored_sets or world.run().path("images/own").exists():
        remove_image_set(world.run(), "own")


def _start_job(world: World) -> None:
    """A job in the background, or the one that was begun, to its end."""
    job = next(iter(queue.all_jobs()), None)
    if job is None:
        job = queue.start(SCORING)
    elif job.state != "done":
        job.resume()
    while job.state in queue.ACTIVE:
        time.sleep(0.02)
    _say_failure(job)


def _work_job(world: World) -> None:
    """What a job's process does; the fault is in this process."""
    job = queue.Job(queue.JOBS / "1-000000")
    if not (job.folder / "job.json").exists():
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / "lock").touch()
        paths.write_atomically(job.folder / "job.json", WHOLE.model_dump_json())
    if job.state != "done":
        worker.main(job.folder)
    _say_failure(job)


def _say_failure(job: queue.Job) -> None:
    """What the page shows of a job that is not done: its one line, or that it was interrupted and can be resumed.

    Raises NegRefineError, or RuntimeError where the error is the program's own.
    """
    if job.state == "done":
        return
    if f"see {job.folder}" in job.error:
        raise RuntimeError(job.error)
    raise NegRefineError(job.error or f"the job was {job.state}")


def _undo_once(world: World) -> None:
    """Take the last decision of the state `decided` back, once: who repeats it looks first."""
    run = world.run()
    if sum(entry.undoes is not None for entry in run.overrides) < 2:
        overrides.undo(run, "fay")


def _try_judge(world: World) -> None:
    """What `judges try` does, on decisions of a file."""
    run, file = world.run(), WRITTEN / "standard.csv"
    labels = [negative.label for negative in run.reviewable]
    rows = [f"{label},{'dropped' if place % 3 else 'kept'}" for place, label in enumerate(labels)]
    paths.write_atomically(file, "\n".join(["negative,decision", *rows]) + "\n")
    pipeline.try_judge(run, world.encoder, judge("fixed:second"), trial.read_standard(run, file))


def _review(world: World) -> None:
    """A third person decides blind."""
    reviews.decide(world.run(), "eve", dict.fromkeys(world.labels("kept")[4:6], ("dropped", "mine")))


def _unreview_once(world: World) -> None:
    """Take the last blind decision of the state `scored` back, once."""
    run = world.run()
    if all(entry.undoes is None for entry in run.reviews):
        reviews.undo(run, "ann")


def _unmark_once(world: World) -> None:
    """Take the last mark of the state `scored` back, once."""
    run = world.run()
    if all(entry.undoes is None for entry in run.marks):
        marks.unmark(run, "own", "fay")


def _deselect(world: World) -> None:
    """The selection of the state `scored`; who repeats it looks first."""
    if "first" in selections.names(world.run()):
        selections.remove(world.run(), "first")


def _sort(world: World) -> None:
    """Into a folder that is not there; who repeats it looks first."""
    if (WRITTEN / "sorted").exists():
        return
    run = world.run()
    table = sorting.sorted_table(run.scores("animals"), "negrefine", 1.0, marks.marked(run, "animals"))
    sorting.copy_into_folders(run, "animals", table, WRITTEN / "sorted")


STEPS: tuple[Step, ...] = (
    Step("create", "empty", World.create),
    Step("mine, cold", "created", lambda world: world.mine()),
    Step("refine", "mined", World.refine),
    Step("refine by another", "scored", lambda world: world.refine("fixed:second")),
    Step("try a judge", "scored", _try_judge),
    Step("score", "decided", lambda world: world.score("animals")),
    Step("score again", "changed", lambda world: world.score("animals", "food", "own")),
    Step("evaluate", "changed", World.evaluate),
    Step("override", "scored", _override("dropped", 4, 5)),
    Step("bulk override", "scored", _bulk),
    Step("confirm", "scored", _confirm),
    Step("undo", "scored", _undo_once),
    Step("import decisions", "scored", _import_decisions),
    Step("export decisions", "scored", lambda world: overrides.export_csv(world.run(), WRITTEN / "decisions.csv")),
    Step("review blind", "scored", _review),
    Step("take a review back", "scored", _unreview_once),
    Step("merge reviews", "scored", lambda world: reviews.merge(world.run())),
    Step("say the role", "scored", lambda world: world.run().set_role("food", "ID")),
    Step("mark", "scored", lambda world: world.mark(2, is_id=True)),
    Step("take a mark back", "scored", _unmark_once),
    Step("save a selection", "scored", lambda world: world.select("more", 4)),
    Step("delete a selection", "scored", _deselect),
    Step("sort into folders", "scored", _sort),
    Step("remove a set", "scored", _remove),
    Step("copy the run", "scored", lambda world: world.run().copy("copied")),
    Step("import-reference", "empty", _import_reference),
    Step("export CSV", "scored", lambda world: export_scores(world.run(), WRITTEN / "scores.csv")),
    Step("export Parquet", "scored", lambda world: export_scores(world.run(), WRITTEN / "scores.parquet")),
    Step("benchmark", "empty", _benchmark, has_stages=True),
    Step("ablation", "scored", _ablation),
    Step("upload", "decided", _upload),
    Step("start a job", "decided", _start_job, has_stages=True, starts_process=True),
    Step("a job's work", "created", _work_job, has_stages=True),
    Step("unpack the bundled run", "empty", lambda world: bundled.unpack_bundled_run(bundled.BUNDLED_RUN)),
)

# What a message may advise, by its words: the step that it names.
ADVICE: tuple[tuple[str, Callable[[World], object]], ...] = (
    ("refine again", World.refine),
    ("step 'refine'", World.refine),
    ("evaluate again", World.evaluate),
    ("step 'evaluate'", World.evaluate),
    ("mine again", lambda world: world.mine()),
    ("step 'mine'", lambda world: world.mine()),
)
