"""A small data folder in which every step can be done in a moment, and its states from empty to finished.

Import it only once `NEGREFINE_DATA` names a folder that may be emptied at any time.
"""

import os
import shutil
import warnings
import zlib
from collections.abc import Callable

import sklearn.metrics  # noqa: F401 - the forked processes find loaded what the steps import when they need it
import torch

from negrefine_core import marks, overrides, paths, pipeline, reviews, selections
from negrefine_core.cache import CachedEncoder
from negrefine_core.encoder import OpenClipEncoder
from negrefine_core.image_sets import ImageSet, open_image_set
from negrefine_core.jobs.spec import Evaluate, Mine, Refine, Score, Spec
from negrefine_core.judge import Question, Reply
from negrefine_core.judges.cache import CachedJudge
from negrefine_core.runs import Run, Settings
from tests.faults.children import forked
from tests.support.models import TINY, write_model
from tests.support.pictures import write_pictures

RUN, OTHER = "pets", "other"
IDS, OTHER_IDS = ("cat", "dog", "owl", "bee"), ("fox", "ant", "oak", "elk")
BOOTSTRAP = 20
AROUND = paths.DATA.parent  # what no fault touches
PICTURES, SNAPSHOTS, MODEL = AROUND / "pictures", AROUND / "snapshots", AROUND / "model"


SCORING = Spec(
    title="score the animals",
    run=RUN,
    steps=(Score(image_set="animals", folder=str(PICTURES / "animals"), role="ID"),),
    device="cpu",
)
WHOLE = Spec(
    title="everything",
    run=RUN,
    steps=(
        Mine(),
        Refine(judge="wordnet"),
        *SCORING.steps,
        Score(image_set="food", folder=str(PICTURES / "food"), role="OOD"),
        Evaluate(),
    ),
    device="cpu",
)


class FixedJudge:
    """Answers by the question's checksum: the same in every process, and about one label in four goes."""

    concurrency = 4

    def __init__(self, identity: str = "fixed") -> None:
        self.identity = identity

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def ask(self, question: Question) -> Reply:
        drawn = zlib.crc32(f"{self.identity} {question.prompt}".encode()) % 16
        return Reply("Yes." if drawn == 0 else "No.")


def judge(identity: str = "fixed") -> CachedJudge:
    return CachedJudge(FixedJudge(identity), paths.CACHE / "verdicts.sqlite")


class World:
    """The model, loaded once, and the data folder's states, each a copy that a trial starts from."""

    def __init__(self) -> None:
        warnings.simplefilter("ignore")
        torch.set_num_threads(1)
        self.model = OpenClipEncoder(write_model(MODEL, TINY), device="cpu")
        write_pictures(PICTURES / "animals", 7, classes=("cat", "dog"))
        (PICTURES / "animals" / "dog" / "broken.png").write_bytes(b"no picture")
        write_pictures(PICTURES / "food", 6, first_seed=50)
        write_pictures(PICTURES / "own", 5, first_seed=80)
        self.steps_done(
            {
                "empty": self._warm,
                "created": self.create,
                "mined": self.mine,
                "refined": self.refine,
                "decided": self.decide,
                "scored": self.score_all,
                "changed": self.decide_again,
            }
        )

    def steps_done(self, states: dict[str, Callable[[], object]]) -> None:
        shutil.rmtree(paths.DATA, ignore_errors=True)
        paths.DATA.mkdir(parents=True)
        shutil.copytree(paths.DATA, SNAPSHOTS / "nothing")
        for name, work in states.items():
            ended = forked(work)
            if ended.how != "done":
                raise RuntimeError(f"the state {name!r} cannot be made: {ended.said}")
            shutil.copytree(paths.DATA, SNAPSHOTS / name)

    def restore(self, state: str) -> None:
        """The data folder as it was in a state."""
        for entry in os.scandir(paths.DATA):
            shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)
        shutil.copytree(SNAPSHOTS / state, paths.DATA, dirs_exist_ok=True)

    # --- what its states are made by, and steps that the trials repeat

    @property
    def encoder(self) -> CachedEncoder:
        return CachedEncoder(self.model, paths.CACHE / "features")

    def settings(self, **values: object) -> Settings:
        return Settings.model_validate(
            {
                "model": f"local-dir:{MODEL}",
                "fraction": 0.15,
                "noun_files": ("noun.motive",),
                "adjective_files": ("adj.ppl",),
                "judge": "fixed",
                "top_k": 3,
                "n_groups": 4,
            }
            | values
        )

    def create(self, name: str = RUN, ids: tuple[str, ...] = IDS, **values: object) -> Run:
        return Run.create(name, self.settings(**values), ids)

    def run(self, name: str = RUN) -> Run:
        return Run.open(name)

    def mine(self) -> None:
        pipeline.mine(self.run(), self.encoder)

    def refine(self, identity: str = "fixed") -> None:
        pipeline.refine(self.run(), self.encoder, judge(identity))

    def decide(self) -> None:
        """Two dropped, one restored, one confirmed, one more that is taken back; two people review blind."""
        run = self.run()
        kept, dropped = self.labels("kept"), self.labels("dropped")
        overrides.override(run, kept[:2], "dropped", "ann", "too near")
        overrides.override(run, dropped[:1], "kept", "bob")
        overrides.confirm(run, kept[2:3], "ann", "looks right")
        overrides.override(run, kept[3:4], "dropped", "bob")
        overrides.undo(run, "bob")
        agreed, differs = (kept[4], ("dropped", "near")), kept[5]
        reviews.decide(run, "ann", dict([agreed, (differs, ("dropped", ""))]))
        reviews.decide(run, "bob", dict([agreed, (differs, ("kept", "far"))]))

    def labels(self, decision: str) -> list[str]:
        """The negatives that the verdicts alone keep or drop."""
        table = overrides.verdict_table(self.run())
        return list(table["label"][table["verdict"] == decision])

    def image_set(self, name: str) -> ImageSet:
        folder = self.run().path("images") / name if name == "own" else PICTURES / name
        return open_image_set(folder, name)

    def score(self, *names: str) -> None:
        pipeline.score(self.run(), self.encoder, [self.image_set(name) for name in names], workers=1)

    def score_all(self) -> None:
        run = self.run()
        shutil.copytree(PICTURES / "own", run.path("images") / "own")
        self.score("animals", "food", "own")
        run.set_role("animals", "ID")
        run.set_role("food", "OOD")
        run.set_role("own", "OOD")
        self.mark(0, is_id=True)
        self.mark(1, is_id=False)
        self.select("first", 2)
        self.evaluate()

    def mark(self, place: int, is_id: bool, who: str = "ann") -> None:
        """What a person says of one of the run's own pictures."""
        run = self.run()
        marks.mark(run, "own", run.scores("own")["path"].iloc[place], is_id, who, run.id_labels[0] if is_id else "")

    def select(self, name: str, count: int) -> None:
        """The first pictures of a set, kept under a name."""
        run = self.run()
        selections.keep(run, selections.of_images(run.scores("food").head(count).assign(image_set="food"), name))

    def evaluate(self) -> None:
        pipeline.evaluate(self.run(), "animals", ["food", "own"], BOOTSTRAP)

    def decide_again(self) -> None:
        overrides.override(self.run(), self.labels("kept")[4:6], "dropped", "cy")

    def _warm(self) -> None:
        """The caches filled and another finished run, whose files may be taken for those of the first."""
        for name, ids in ((RUN, IDS), (OTHER, OTHER_IDS)):
            run = self.create(name, ids)
            pipeline.mine(run, self.encoder)
            pipeline.refine(run, self.encoder, judge())
            table = overrides.verdict_table(run)
            overrides.override(run, table["label"][table["verdict"] == "kept"].iloc[1:3], "dropped", "dee", "other")
            pipeline.score(run, self.encoder, [self.image_set_of("animals"), self.image_set_of("food")], workers=1)
            run.set_role("animals", "ID")
            pipeline.evaluate(run, "animals", ["food"], BOOTSTRAP)
        shutil.rmtree(paths.RUNS / RUN)

    def image_set_of(self, name: str) -> ImageSet:
        return open_image_set(PICTURES / name, name)
