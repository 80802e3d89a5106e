"""A tiny CLIP with random weights, written as open_clip reads it."""

import json
from pathlib import Path
from typing import Any

import open_clip
import safetensors.torch
import torch

TINY: dict[str, Any] = {  # the bundled model's shape, smaller
    "embed_dim": 64,
    "vision_cfg": {"layers": [1, 1, 1, 1], "width": 16, "head_width": 16, "image_size": 32, "patch_size": None},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 2},
}
TINY_PREPROCESS: dict[str, Any] = {
    "mean": [0.5] * 3,
    "std": [0.25] * 3,
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


def write_model(
    folder: Path, config: dict[str, Any], preprocess: dict[str, Any] = TINY_PREPROCESS, seed: int = 0
) -> str:
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
