"""What survives a slow garbage collection is left out of later ones."""

import gc
from collections.abc import Iterator

import pytest
from negrefine_app.shared import collector


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    collector.install()
    gc.unfreeze()
    monkeypatch.setattr(collector, "_slow", 0)
    yield
    gc.unfreeze()


def test_what_survives_a_slow_collection_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "SLOW", 1e9)
    gc.collect()
    assert gc.get_freeze_count() == 0
    monkeypatch.setattr(collector, "SLOW", 0.0)
    gc.collect()
    assert gc.get_freeze_count() > 0


def test_young_collections_set_nothing_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "SLOW", 0.0)
    gc.collect(0)
    assert gc.get_freeze_count() == 0


@pytest.mark.slow
def test_every_tenth_time_everything_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "SLOW", 0.0)
    counts = []
    for _ in range(11):
        gc.collect()
        counts.append(gc.get_freeze_count())
    assert [i for i, count in enumerate(counts, 1) if count == 0] == [10]
