"""Past one machine: Ray Data hands parts of an image set to actors that hold the model, wherever there is room.

Only this file imports Ray, which is an extra. The parts' tables come back to the run's machine and are kept there until
the set is whole: a scoring that was stopped goes on with what is missing. An actor embeds and scores a part as
`local.py` does, so that the scores are the same.
"""

import hashlib
import io
import logging
import os
import secrets
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..errors import NegRefineError
from ..hyperparameters import WORKERS
from ..image_sets import ImageSet
from ..progress import Progress
from ..run_files.parts import Parts
from ..run_files.scores import CONTENT
from ..run_files.tables import printable
from ..scorers import Recipe, Scorer
from ..storage import folder_of
from . import Scored

if TYPE_CHECKING:
    import numpy as np

PART = 1024  # pictures that an actor is handed at once, and that are scored again where it dies
CONNECT = 10  # seconds until a cluster counts as out of reach
STARTS = 3  # Ray gives a node 30 seconds, which a busy machine may not have
MOST_BLOCKS = 2000  # Ray Data's own advice is to stay below some thousands


@dataclass(frozen=True)
class Weights:
    """The model as every node loads it, and the fingerprint that it must have there."""

    model: str
    pretrained: str | None
    fingerprint: str


@dataclass(frozen=True)
class RayEngine:
    """`parts` is the folder of the run for what is scored in part.

    `address` is a running cluster's, as `ray.init` takes it; empty: what RAY_ADDRESS says, or else one on this machine,
    for the time of the work. `actors` holds how many models work at once, by default one a GPU, or where there are none
    one a node.
    """

    weights: Weights
    parts: Path
    address: str = ""
    actors: int | None = None
    workers: int = WORKERS
    part: int = PART

    def score(self, image_set: ImageSet, recipe: Recipe, progress: Progress | None = None) -> Iterator[Scored]:
        parts = Parts(self.parts / image_set.name)
        pieces = [image_set.paths[i : i + self.part] for i in range(0, len(image_set), self.part)]
        empty: dict[int, Scored] = {}  # those without a readable picture
        done = 0
        with _cluster(self.address or os.environ.get("RAY_ADDRESS", "")):
            for number, found in self._found(image_set, recipe, pieces, parts.known):
                if found.made_from != parts.known.get(number):
                    parts.keep(number, found.made_from, found.table, image_set.name, found.skipped)
                if number not in parts.known:
                    empty[number] = Scored(found.table, found.skipped)
                done += len(pieces[number])
                if progress:
                    progress(done, len(image_set))
        for number in range(len(pieces)):
            yield empty[number] if number in empty else Scored(*parts.read(number))

    def _found(
        self, image_set: ImageSet, recipe: Recipe, pieces: Sequence[tuple[str, ...]], known: dict[int, str]
    ) -> Iterator[tuple[int, "_Part"]]:
        """(number, part) as they are done. Raises NegRefineError where no node can do one."""
        import ray
        from ray.data import ActorPoolStrategy

        items = [
            {"number": number, "paths": os.fsencode("\0".join(paths)), "known": known.get(number, "")}
            for number, paths in enumerate(pieces)
        ]
        gpus = int(ray.cluster_resources().get("GPU", 0))
        actors = min(self.actors or gpus or len(ray.nodes()), len(items))
        scored = ray.data.from_items(items, override_num_blocks=min(len(items), MOST_BLOCKS)).map_batches(
            _Actor,
            fn_constructor_args=(self.weights, recipe, image_set.name, str(image_set.root), self.workers),
            batch_size=1,
            compute=ActorPoolStrategy(min_size=1, max_size=actors),
            num_gpus=1 if gpus else 0,
            num_cpus=1,
        )
        try:
            for row in scored.iter_rows():
                yield int(row["number"]), _Part.received(row)
        except ray.exceptions.RayError as error:
            reason = str(error).strip().rpartition("\n")[2]
            raise NegRefineError(
                f"Ray could not go on ({reason[:300]}); look whether every node has this version of the program; what "
                "was scored is kept, and the same command goes on"
            ) from error


@contextmanager
def _cluster(address: str) -> Iterator[None]:
    """Ray as it runs at the address, or one on this machine for nobody else. Raises NegRefineError."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    if not address:  # its processes listen on every address of the machine: they answer who has the token
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        os.environ.setdefault("RAY_worker_niceness", "0")  # no slower than the local engine beside other work
    import ray
    from ray.data import DataContext

    try:
        _start(address)
    except Exception as error:  # Ray raises many kinds, plain ones among them
        raise NegRefineError(
            f"no Ray cluster answers at {address or 'this machine'} ({str(error).strip().splitlines()[0]}); start one "
            "with 'ray start --head', or leave the address out"
        ) from error
    DataContext.get_current().enable_progress_bars = False  # ours is shown
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()


def _start(address: str) -> None:
    import ray

    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address:
        host, colon, port = address.removeprefix("ray://").rpartition(":")
        if colon:  # else auto: Ray's own word for the one on this machine
            socket.create_connection((host, int(port)), CONNECT).close()  # Ray itself tries for minutes
        ray.init(address=address, **quiet)
        return
    for left in reversed(range(STARTS)):
        try:
            ray.init("local", include_dashboard=False, _node_ip_address="127.0.0.1", **quiet)
            return
        except Exception:
            ray.shutdown()
            if not left:
                raise


@dataclass(frozen=True)
class _Part:
    made_from: str
    table: pd.DataFrame
    skipped: tuple[tuple[str, str], ...]

    @classmethod
    def received(cls, row: dict[str, Any]) -> "_Part":
        """What an actor sent. Raises NegRefineError where it could not work."""
        if row["error"]:
            raise NegRefineError(f"on the node {row['node']}: {row['error']}")
        table = pd.read_parquet(io.BytesIO(row["table"])) if row["table"] else pd.DataFrame()
        return cls(row["made_from"], table, tuple(zip(row["skipped"], row["reasons"], strict=True)))


class _Actor:
    """The model, the detectors and the feature cache of one process on a node."""

    def __init__(self, weights: Weights, recipe: Recipe, name: str, root: str, workers: int) -> None:
        from ..cache import CachedEncoder
        from ..encoder import load_encoder

        self._recipe, self._name, self._root, self._workers = recipe, name, folder_of(root), workers
        self._key = f"{CONTENT} {recipe.key} {weights.fingerprint}"  # the column that parts did not have once
        self._error = ""
        try:
            self._encoder = CachedEncoder(load_encoder(weights.model, weights.pretrained))
            if self._encoder.fingerprint != weights.fingerprint:
                raise NegRefineError(f"the weights of {weights.model!r} are others than the run's")
            self._scorer = Scorer(self._encoder, recipe)
        except NegRefineError as error:  # told with the first part, in its own words
            self._error = str(error)

    def __call__(self, batch: "dict[str, np.ndarray]") -> dict[str, list[Any]]:
        number, known = int(batch["number"][0]), str(batch["known"][0])
        image_set = ImageSet(self._name, self._root, tuple(os.fsdecode(batch["paths"][0]).split("\0")))
        row = {"number": number, "node": socket.gethostname(), "error": self._error}
        row |= {"made_from": known, "table": b"", "skipped": [], "reasons": []}
        if not self._error:
            try:
                row |= self._scored(image_set, known)
            except NegRefineError as error:
                row["error"] = str(error)
        return {column: [value] for column, value in row.items()}

    def _scored(self, image_set: ImageSet, known: str) -> dict[str, Any]:
        """Nothing new where the part that is known was made from the same."""
        from ..embedding import content_hashes, embed_images
        from .local import scored

        if known:
            with ThreadPoolExecutor(self._workers) as pool:
                contents = content_hashes(pool, [image_set.root / path for path in image_set.paths])
            if known == self._made_from(image_set, [content.reason or content.key for content in contents]):
                return {}
        tables: list[pd.DataFrame] = []
        skipped: list[tuple[str, str]] = []
        hashes: list[str] = []
        for chunk in embed_images(self._encoder, image_set, workers=self._workers):
            piece = scored(self._scorer, image_set, chunk)
            tables += [piece.table] if len(piece.table) else []
            skipped += piece.skipped
            hashes += chunk.contents
        return {
            "made_from": self._made_from(image_set, hashes),
            "table": pd.concat(tables, ignore_index=True).to_parquet() if tables else b"",
            "skipped": [printable(path) for path, _ in skipped],
            "reasons": [reason for _, reason in skipped],
        }

    def _made_from(self, image_set: ImageSet, contents: Sequence[str]) -> str:
        made_from = repr((self._key, str(image_set.root), image_set.paths, tuple(contents)))
        return hashlib.blake2b(made_from.encode(errors="surrogatepass"), digest_size=16).hexdigest()
