"""Weights come with progress, go on after a stop, are checked, and are found by open_clip; without a network it is said
what to do. The hub is one on loopback.
"""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from negrefine_core import weights
from negrefine_core.benchmarks.costs import costs
from negrefine_core.encoder import load_encoder
from negrefine_core.errors import NegRefineError
from tests.support.hub import Hub, hub

REPOSITORY = "somebody/tiny"
NAME = f"hf-hub:{REPOSITORY}"
FILE = "open_clip_model.safetensors"


@pytest.fixture
def online(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that answers, and an empty cache."""
    with hub(tiny_folder, REPOSITORY) as there:
        reach(there.url, tmp_path / "cache", monkeypatch)
        yield there


def reach(url: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What HF_ENDPOINT and HF_HUB_CACHE say to a new process."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def part(cache: Path) -> Path:
    (found,) = cache.rglob("*.part")
    return found


def test_a_model_comes_with_progress_and_open_clip_finds_it(online: Hub, tiny_folder: Path) -> None:
    assert not weights.is_here(NAME, None)
    told: list[tuple[int, int]] = []
    weights.download(NAME, None, lambda done, total: told.append((done, total)))
    size = (tiny_folder / FILE).stat().st_size
    assert told[-1] == (size, size)
    assert len(told) > 10
    assert told == sorted(told)
    found = weights.found(NAME, None)
    assert found
    assert found.read_bytes() == (tiny_folder / FILE).read_bytes()
    bodies = [name for name, _ in online.asked if name == FILE]
    assert (
        load_encoder(NAME, device="cpu").fingerprint
        == load_encoder(f"local-dir:{tiny_folder}", device="cpu").fingerprint
    )
    weights.download(NAME, None)
    assert [name for name, _ in online.asked if name == FILE] == bodies  # it came once


def test_what_a_repository_takes_is_counted_without_the_network_once_it_was_loaded(
    online: Hub, tiny_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert weights.shapes(NAME) is None
    load_encoder(NAME, device="cpu")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert costs(NAME) == costs(tiny_model)


def test_a_download_that_breaks_off_says_how_far_it_came_and_goes_on_there(
    online: Hub, tiny_folder: Path, tmp_path: Path
) -> None:
    online.cut = 3_000_000
    with pytest.raises(NegRefineError, match=r"stopped at 3 MB of \d+ MB .* try again, and it goes on there"):
        weights.download(NAME, None)
    assert part(tmp_path).stat().st_size == 3_000_000
    assert not weights.is_here(NAME, None)
    online.cut = None
    told: list[int] = []
    weights.download(NAME, None, lambda done, _: told.append(done))
    assert online.asked[-1] == (FILE, "bytes=3000000-")
    assert min(told) > 3_000_000
    assert weights.found(NAME, None).read_bytes() == (tiny_folder / FILE).read_bytes()  # type: ignore[union-attr]
    assert not list(tmp_path.rglob("*.part"))


def test_who_stops_it_in_the_progress_keeps_what_came(online: Hub, tmp_path: Path) -> None:
    def stop(done: int, _: int) -> None:
        if done > 2_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        weights.download(NAME, None, stop)
    kept = part(tmp_path).stat().st_size
    assert kept > 2_000_000
    weights.download(NAME, None)
    assert online.asked[-1] == (FILE, f"bytes={kept}-")


def test_a_server_that_cannot_go_on_in_the_middle_sends_the_whole_file_again(online: Hub, tiny_folder: Path) -> None:
    online.cut = 1_000_000
    with pytest.raises(NegRefineError, match="stopped at"):
        weights.download(NAME, None)
    online.cut, online.ignores_ranges = None, True
    weights.download(NAME, None)
    assert weights.found(NAME, None).read_bytes() == (tiny_folder / FILE).read_bytes()  # type: ignore[union-attr]


def test_weights_that_are_damaged_on_the_way_are_never_used(online: Hub, tmp_path: Path) -> None:
    online.damages = True
    with pytest.raises(NegRefineError, match="damaged, and were thrown away: download them again"):
        weights.download(NAME, None)
    assert not weights.is_here(NAME, None)
    assert not list(tmp_path.rglob("*.part"))
    online.damages = False
    weights.download(NAME, None)
    assert weights.is_here(NAME, None)


def test_a_full_disk_keeps_what_came(online: Hub, tmp_path: Path) -> None:
    def full(done: int, _: int) -> None:
        if done > 1_000_000:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(NegRefineError, match=r"cannot write .*No space left on device"):
        weights.download(NAME, None, full)
    assert part(tmp_path).stat().st_size > 1_000_000


def test_a_repository_without_weights_is_named(online: Hub, tmp_path: Path) -> None:
    online.folder = tmp_path
    with pytest.raises(NegRefineError, match=r"somebody/tiny on http://127.* holds no open_clip_model\.safetensors or"):
        weights.download(NAME, None)


@pytest.mark.parametrize("how", ["nobody listens", "offline"])
def test_without_a_network_one_message_says_what_to_do(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reach("http://127.0.0.1:9", tmp_path, monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", how == "offline")
    with pytest.raises(NegRefineError) as caught:
        weights.download("paper", None)
    said = str(caught.value)
    for words in (
        "the model timm/vit_base_patch16_clip_224.openai is not on this computer",
        "http://127.0.0.1:9 cannot be reached",
        "HF_ENDPOINT names a mirror",
        f"copy its folder here, to {tmp_path}/models--timm--vit_base_patch16_clip_224.openai",
        "bundled model 'demo'",
    ):
        assert words in said
    assert "\n" not in said


def test_a_local_model_has_nothing_to_download(tmp_path: Path) -> None:
    for model, pretrained in (("demo", None), (f"local-dir:{tmp_path}", None), ("ViT-B-16", "random"),
                              ("ViT-B-16", str(tmp_path / "mine.pt")), ("ViT-B-16", "no-such-tag")):  # fmt: skip
        assert weights.is_here(model, pretrained)
        weights.download(model, pretrained)


def test_every_tag_of_open_clip_has_a_place_on_the_hub() -> None:
    import open_clip

    for model, tag in open_clip.list_pretrained():
        assert weights.source(model, tag), (model, tag)
