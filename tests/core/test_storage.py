"""Pictures in a storage are embedded, scored and shown like those of a folder, and no key of it is written anywhere."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from pandas.testing import assert_frame_equal

from negrefine_core import pictures, pipeline, storage
from negrefine_core.cache import CachedEncoder
from negrefine_core.embedding import embed_images
from negrefine_core.errors import NegRefineError
from negrefine_core.image_sets import open_image_set
from negrefine_core.mining import Negative
from negrefine_core.runs import Run, Settings
from tests.support.pictures import write_pictures


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Path]:
    """A folder of pictures, one of them broken, that lies at memory://photos too."""
    folder = write_pictures(tmp_path / "photos", 5, classes=("cat", "dog"))
    (folder / "broken.png").write_bytes(b"no picture")
    memory = fsspec.filesystem("memory")
    memory.put(str(folder), "/photos", recursive=True)
    yield folder
    memory.rm("/photos", recursive=True)


def refined(folder: Path) -> Run:
    run = Run.create("r", Settings(judge="none"), ["cat", "dog"], folder)
    run.write_initial_negatives([Negative("fog", "noun", 0.1), Negative("log", "noun", 0.2)])
    run.write_negatives(run.initial_negatives)
    return run


def test_a_storages_pictures_score_as_a_folders_do(stored: Path, cached: CachedEncoder, tmp_path: Path) -> None:
    run = refined(tmp_path)
    places = {"here": str(stored), "there": "memory://photos"}
    pipeline.score(run, cached, [open_image_set(place, name) for name, place in places.items()])
    assert_frame_equal(run.scores("here"), run.scores("there"))
    assert list(run.skipped["path"]) == ["broken.png"] * 2
    assert run.roots["there"] == "memory://photos"
    here, there = (pictures.locate(run, name, run.scores(name)["path"][0]).read_bytes() for name in places)
    assert here == there
    with pytest.raises(NegRefineError, match="outside"):
        pictures.locate(run, "there", "../other/0.png")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("s3://KEY:SECRET@bucket/photos", "takes no key"),
        ("file:///etc", "not read from file"),
        ("http://127.0.0.1/photos", "not read from http"),
        ("simplecache::memory://photos", "no folder"),
        ("nowhere://photos", "no storage that fsspec knows"),
        ("memory://empty", "no images under"),
    ],
)
def test_a_url_that_cannot_be_used_is_one_clear_line(place: str, said: str) -> None:
    with pytest.raises(NegRefineError, match=said) as raised:
        open_image_set(place)
    assert "SECRET" not in str(raised.value)


def test_a_storage_that_does_not_answer_ends_the_work_and_skips_nothing(
    stored: Path, cached: CachedEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = open_image_set("memory://photos")

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no route to host")

    monkeypatch.setattr(type(storage.folder_of("memory://photos").fs), "_open", broken)
    with pytest.raises(NegRefineError, match="no route to host"):
        list(embed_images(cached, found))
