"""What the tests share: a data folder of their own, a tiny CLIP with random weights, pictures and golden figures."""

import os
import tempfile

os.environ["NEGREFINE_DATA"] = tempfile.mkdtemp(prefix="negrefine-tests-")  # before paths.py reads it
os.environ["HF_HUB_OFFLINE"] = "1"  # no network in tests
os.environ["OMP_NUM_THREADS"] = "1"  # models this small only lose by threads, here and in the processes tests start

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import open_clip
import pytest
import safetensors.torch
import torch
from PIL import Image

from negrefine_core import paths
from negrefine_core.cache import CachedEncoder
from negrefine_core.encoder import OpenClipEncoder
from negrefine_core.lexicon import WordNet

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT.parent / "shared" / "golden"

TINY = {  # the bundled model's shape, smaller
    "embed_dim": 64,
    "vision_cfg": {"layers": [1, 1, 1, 1], "width": 16, "head_width": 16, "image_size": 32, "patch_size": None},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 2},
}
TINY_PREPROCESS = {"mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic", "resize_mode": "shortest"}


def write_model(folder: Path, config: dict, preprocess: dict = TINY_PREPROCESS, seed: int = 0) -> str:
    """An open_clip `local-dir:` model with seeded random weights; its name for OpenClipEncoder."""
    folder.mkdir(parents=True, exist_ok=True)
    config = json.loads(json.dumps(config))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        arguments = {key: value for key, value in config.items() if key != "custom_text"}
        model = (open_clip.CustomTextCLIP if config.get("custom_text") else open_clip.CLIP)(**arguments)
        for name, weight in model.named_parameters():  # open_clip starts the biases at zero: nothing would test them
            if name.endswith("bias"):
                torch.nn.init.normal_(weight, std=0.02)
    config_file = {"model_cfg": config, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config_file), encoding="utf-8")
    safetensors.torch.save_file(
        {name: weight.contiguous() for name, weight in model.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    return f"local-dir:{folder}"


@pytest.fixture(scope="session", autouse=True)
def _data_folder() -> Iterator[None]:
    yield
    shutil.rmtree(paths.DATA, ignore_errors=True)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_model(tmp_path_factory.mktemp("tiny"), TINY)


@pytest.fixture(scope="session")
def encoder(tiny_model: str) -> OpenClipEncoder:
    return OpenClipEncoder(tiny_model, device="cpu")


@pytest.fixture
def cached(encoder: OpenClipEncoder, tmp_path: Path) -> CachedEncoder:
    """The tiny model with an empty cache."""
    return CachedEncoder(encoder, tmp_path / "features")


@pytest.fixture(scope="session")
def wordnet() -> WordNet:
    return WordNet()


@pytest.fixture(scope="session")
def golden() -> Path:
    if not GOLDEN.is_dir():
        pytest.skip("the golden figures are not beside this checkout (../shared/golden)")
    return GOLDEN


def picture(seed: int, size: tuple[int, int] = (40, 32)) -> Image.Image:
    """A noisy picture of one colour: the seeds' features differ."""
    generator = np.random.default_rng(seed)
    colour = generator.integers(0, 200, 3)
    noise = generator.integers(0, 56, (size[1], size[0], 3))
    return Image.fromarray((colour + noise).astype(np.uint8))


def write_pictures(folder: Path, count: int, first_seed: int = 0, classes: tuple[str, ...] = ()) -> Path:
    """`count` PNG files below `folder`, in turn in each class folder if classes are given."""
    for i in range(count):
        parent = folder / classes[i % len(classes)] if classes else folder
        parent.mkdir(parents=True, exist_ok=True)
        picture(first_seed + i).save(parent / f"{i:03}.png")
    return folder
