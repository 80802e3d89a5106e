"""Real photographs go the whole way: they are read, embedded by the bundled model, and scored as a set that nobody has
sorted."""

import numpy as np
import pytest

from negrefine_core import methods, pipeline
from negrefine_core.cache import CachedEncoder
from negrefine_core.embedding import embed_images
from negrefine_core.encoder import load_encoder
from negrefine_core.image_sets import open_image_set, read_image
from tests.support.pictures import photographs
from tests.support.runs import refined_run


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> CachedEncoder:
    return CachedEncoder(load_encoder("demo", device="cpu"), tmp_path_factory.mktemp("features"))


def test_ten_photographs_are_read_in_colour_and_each_has_its_licence_beside_it() -> None:
    image_set = open_image_set(photographs())
    assert len(image_set) == 10
    licences = photographs().with_suffix(".md").read_text(encoding="utf-8")
    for path in image_set.paths:
        assert read_image(image_set.root / path).mode == "RGB"
        assert f"`{path}`" in licences


def test_the_bundled_model_tells_the_photographs_apart(bundled: CachedEncoder) -> None:
    (chunk,) = embed_images(bundled, open_image_set(photographs()))
    assert not chunk.skipped
    features = chunk.features.numpy()  # (B, D)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    assert (features @ features.T - np.eye(10)).max() < 0.999


def test_the_photographs_are_scored_as_a_set_of_unknown_pictures(bundled: CachedEncoder) -> None:
    run = refined_run("photographs", "demo")
    assert pipeline.score(run, bundled, [open_image_set(photographs())]) == [10]
    assert run.skipped.empty
    assert run.role("photographs") == "unknown"  # nobody has said, and nothing is guessed
    table = run.scores("photographs")
    assert table["class"].isna().all()
    scores = table[[row.column for row in methods.measured(table)]].to_numpy()
    assert np.isfinite(scores).all()
    assert (scores.std(axis=0) > 0).all()
    assert all(set(labels) <= set(run.id_labels) for labels in table["id_labels"])
    assert run.image_root("photographs") == photographs()
