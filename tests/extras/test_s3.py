"""Pictures in a real S3 server on loopback: read and scored as a folder's are; rights that are missing are said."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from pandas.testing import assert_frame_equal

from negrefine_core import pictures, pipeline
from negrefine_core.cache import CachedEncoder
from negrefine_core.errors import NegRefineError
from negrefine_core.image_sets import open_image_set
from negrefine_core.mining import Negative
from negrefine_core.runs import Run, Settings
from tests.support.pictures import write_pictures

s3fs = pytest.importorskip("s3fs")
server = pytest.importorskip("moto.server")

KEY = "secret-of-this-test"


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server with the folder `photos` in a bucket of that name; its keys are in the environment."""
    running = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    address = "http://{}:{}".format(*running.get_host_and_port())
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "reader")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
    s3fs.S3FileSystem.clear_instance_cache()
    bucket = s3fs.S3FileSystem()
    bucket.mkdir("photos")
    bucket.put(str(write_pictures(tmp_path / "photos", 5, classes=("cat", "dog"))), "photos/pets", recursive=True)
    yield address
    s3fs.S3FileSystem.clear_instance_cache()
    post(f"{address}/moto-api/reset")
    running.stop()


def post(address: str, content: bytes = b"") -> None:
    request = urllib.request.Request(address, content, {"Content-Type": "text/plain"})  # noqa: S310
    urllib.request.urlopen(request).close()  # noqa: S310


def test_a_buckets_pictures_score_as_a_folders_do_and_its_key_is_written_nowhere(
    address: str, cached: CachedEncoder, tmp_path: Path
) -> None:
    run = Run.create("r", Settings(judge="none"), ["cat", "dog"], tmp_path / "runs")
    run.write_initial_negatives([Negative("fog", "noun", 0.1), Negative("log", "noun", 0.2)])
    run.write_negatives(run.initial_negatives)
    places = {"here": str(tmp_path / "photos"), "there": "s3://photos/pets"}
    pipeline.score(run, cached, [open_image_set(place, name) for name, place in places.items()])
    assert_frame_equal(*(run.scores(name, run.score_columns(name)) for name in places))
    here, there = (pictures.locate(run, name, run.scores(name)["path"][0]).read_bytes() for name in places)
    assert here == there
    assert not [file for file in run.folder.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]


def test_a_bucket_without_rights_and_one_that_is_not_there_are_one_clear_line_each(address: str) -> None:
    with pytest.raises(NegRefineError, match=r"s3://nowhere/pets.*check the address and your rights"):
        open_image_set("s3://nowhere/pets")
    post(f"{address}/moto-api/reset-auth", b"0")  # from now on it asks who is there
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(NegRefineError, match=r"cannot read s3://photos/pets.*check the address and your rights"):
        open_image_set("s3://photos/pets")
