"""Scores pictures on a Ray of this machine, and does what the test says on the way.

`python -m tests.extras.drive RUN PICTURES KILL_AT STOP_AT`: at so many pictures one worker is killed, at so many the
work waits for ever (0: never).
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from negrefine_core import pipeline
from negrefine_core.cache import CachedEncoder
from negrefine_core.encoder import load_encoder
from negrefine_core.engines.ray_data import RayEngine, Weights
from negrefine_core.image_sets import open_image_set
from negrefine_core.progress import Progress
from negrefine_core.runs import Run


def main(name: str, pictures: str, kill_at: int, stop_at: int) -> None:
    run = Run.open(name)
    encoder = CachedEncoder(load_encoder(run.settings.model))
    weights = Weights(run.settings.model, run.settings.pretrained, encoder.fingerprint)
    engine = RayEngine(weights, run.path("parts"), actors=2, part=50)

    @contextmanager
    def report(_: str) -> Iterator[Progress]:
        killed: list[int] = []

        def progress(done: int, total: int) -> None:
            if kill_at and done >= kill_at and not killed:
                killed.append(_kill_a_worker())
            if stop_at and done >= stop_at:
                Path(run.folder, "stopped").touch()
                time.sleep(3600)

        yield progress

    pipeline.score(run, encoder, [open_image_set(pictures, "far")], report, engine=engine)


def _kill_a_worker() -> int:
    workers = [each for each in psutil.Process().children(recursive=True) if "MapWorker" in " ".join(each.cmdline())]
    os.kill(workers[0].pid, signal.SIGKILL)
    return workers[0].pid


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
