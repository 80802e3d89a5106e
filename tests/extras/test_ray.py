"""Ray gives the local engine's scores, whoever is killed on the way. Needs Ray, which is an extra."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pandas.testing import assert_frame_equal

from negrefine_core import pipeline
from negrefine_core.cache import CachedEncoder
from negrefine_core.encoder import OpenClipEncoder
from negrefine_core.engines import is_ray_installed
from negrefine_core.errors import NegRefineError
from negrefine_core.image_sets import open_image_set
from negrefine_core.mining import Negative
from negrefine_core.run_files.parts import Parts
from negrefine_core.runs import Run, Settings
from tests.support.pictures import write_pictures

pytestmark = [
    pytest.mark.skipif(not is_ray_installed(), reason="Ray is an extra: pip install -e '.[ray]'"),
    # Ray's own settings, and its processes, which it leaves to the system:
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

PICTURES = 2000
NEGATIVES = [Negative(word, "noun", 0.1) for word in ("fog", "log", "bog", "jog", "cog", "hog")]


@pytest.mark.slow
def test_a_killed_worker_and_a_killed_driver_change_no_score(
    tmp_path: Path, tiny_model: str, encoder: OpenClipEncoder
) -> None:
    folder = write_pictures(tmp_path / "photos", PICTURES, classes=("cat", "dog"))
    (folder / "broken.png").write_bytes(b"no picture")
    run = Run.create("r", Settings(model=tiny_model, judge="none"), ["cat", "dog"], tmp_path / "runs")
    run.write_initial_negatives(NEGATIVES)
    run.write_negatives(NEGATIVES)
    pipeline.score(run, CachedEncoder(encoder, tmp_path / "other cache"), [open_image_set(folder, "near")])

    first = start(tmp_path, folder, kill_at=300, stop_at=800)
    wait_for(run.folder / "stopped", first)
    first.kill()
    first.wait()
    kept = Parts(run.path("parts") / "far").known
    assert len(kept) >= 16  # 800 pictures in parts of 50
    damaged = sorted(run.path("parts").rglob("*.parquet"))[3]
    damaged.write_bytes(damaged.read_bytes()[:-9])
    again = start(tmp_path, folder)
    assert again.wait() == 0

    near, far = (run.scores(name, run.score_columns(name)) for name in ("near", "far"))
    assert len(far) == PICTURES
    assert far["path"].is_unique
    assert_frame_equal(near, far, atol=1e-5, rtol=0)
    skipped = run.skipped.set_index("image_set")
    assert skipped.loc["near"].tolist() == skipped.loc["far"].tolist()
    assert not run.path("parts").joinpath("far").exists()


def start(data: Path, pictures: Path, kill_at: int = 0, stop_at: int = 0) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.extras.drive", "r", str(pictures), str(kill_at), str(stop_at)]
    return subprocess.Popen(command, env=os.environ | {"NEGREFINE_DATA": str(data)})


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    while not path.exists():
        assert process.poll() is None, "the driver ended by itself"
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue


def test_a_part_that_is_known_is_not_scored_again(tmp_path: Path, tiny_model: str, encoder: OpenClipEncoder) -> None:
    from negrefine_core.engines.ray_data import Weights, _Actor

    folder = write_pictures(tmp_path / "photos", 3)
    run = Run.create("r", Settings(model=tiny_model, judge="none"), ["cat", "dog"], tmp_path)
    run.write_initial_negatives(NEGATIVES)
    run.write_negatives(NEGATIVES)
    weights = Weights(tiny_model, None, encoder.fingerprint)
    actor = _Actor(weights, pipeline.recipe(run), "photos", str(folder), 1)
    batch = {"number": [0], "paths": [os.fsencode("\0".join(open_image_set(folder).paths))], "known": [""]}
    (made_from,) = actor(batch)["made_from"]
    assert actor(batch | {"known": [made_from]})["table"] == [b""]
    (folder / "000.png").write_bytes((folder / "001.png").read_bytes())
    assert actor(batch | {"known": [made_from]})["made_from"] != [made_from]


def test_a_node_that_lacks_the_model_says_so_in_its_own_words(tmp_path: Path) -> None:
    from negrefine_core.engines.ray_data import RayEngine, Weights

    folder = write_pictures(tmp_path / "photos", 3)
    run = Run.create("r", Settings(judge="none"), ["cat", "dog"], tmp_path)
    run.write_initial_negatives(NEGATIVES)
    run.write_negatives(NEGATIVES)
    engine = RayEngine(Weights("ViT-B-32", str(tmp_path / "weights.pt"), "0"), tmp_path / "parts")
    with pytest.raises(NegRefineError, match=r"on the node .*weights.pt"):
        list(engine.score(open_image_set(folder), pipeline.recipe(run)))


def test_a_cluster_that_cannot_be_reached_is_one_clear_line(tmp_path: Path) -> None:
    from negrefine_core.engines.ray_data import RayEngine, Weights

    folder = write_pictures(tmp_path / "photos", 3)
    run = Run.create("r", Settings(judge="none"), ["cat", "dog"], tmp_path)
    run.write_initial_negatives(NEGATIVES)
    run.write_negatives(NEGATIVES)
    engine = RayEngine(Weights("demo", None, "0"), tmp_path / "parts", address="127.0.0.1:1")
    with pytest.raises(NegRefineError, match=r"no Ray cluster answers at 127.0.0.1:1"):
        list(engine.score(open_image_set(folder), pipeline.recipe(run)))
