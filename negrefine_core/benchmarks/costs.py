"""What a model will take on this machine, before it is there: its arithmetic, and how quickly that is done."""

import time

import open_clip
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from .. import models, text_tower, weights
from ..encoder import check_name, pick_device, quiet
from ..errors import NegRefineError
from ..models import Costs

SECONDS = 0.5  # of measuring, after a first round that warms up
WIDTH, HEADS, TOKENS, IMAGES = 768, 12, 197, 4  # a layer of ViT-B/16 on four pictures
GFLOP = IMAGES * TOKENS * (24 * WIDTH**2 + 4 * TOKENS * WIDTH) / 1e9  # projections, MLP and attention


def costs(model: str, pretrained: str | None = None) -> Costs:
    """A model's costs by open_clip's name of its architecture, without its weights: its shapes alone are built."""
    architecture, tag = models.of_open_clip(model, pretrained)
    check_name(architecture, tag)
    if known := next((known for known in models.MODELS if known.architecture == architecture), None):
        return known.costs
    try:
        return measured(weights.shapes(architecture) or architecture)
    except Exception as error:  # open_clip's models fail in many ways: none of them hinders the model's use
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise NegRefineError(f"what {architecture} takes cannot be counted before it is loaded: {reason}") from error


def measured(architecture: str) -> Costs:
    """The costs counted on the shapes."""
    with quiet(), torch.device("meta"):
        built = open_clip.create_model(architecture, device="meta", pretrained_text=False, load_weights=False).eval()
    size = built.visual.image_size
    height, width = size if isinstance(size, tuple | list) else (size, size)
    context = int(built.context_length)
    pixels = torch.empty(1, 3, height, width, device="meta")  # (1, 3, H, W)
    tokens = torch.zeros(1, context, dtype=torch.long, device="meta")  # (1, L)
    numbers: list[int] = []  # that layers give for a picture

    def note(_layer: nn.Module, _given: object, made: object) -> None:
        numbers.append(made.numel() if isinstance(made, torch.Tensor) else 0)

    for layer in built.visual.modules():
        layer.register_forward_hook(note)
    with FlopCounterMode(display=False) as image:
        built.encode_image(pixels)
    with FlopCounterMode(display=False) as text:
        built.encode_text(tokens)
    return Costs(
        parameters=sum(parameter.numel() for parameter in built.parameters()),
        image_gflop=image.get_total_flops() / 1e9,
        text_gflop=text.get_total_flops() / 1e9,
        context=context,
        shares_prefixes=text_tower.shares_prefixes(built) is not None,
        widest=max(numbers),
    )


def machine_rate(device: str = "auto") -> float:
    """GFLOP a second of this machine at this moment, measured on one layer of a common model."""
    place = pick_device(device)
    dtype = torch.float16 if place.type == "cuda" else torch.float32
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, batch_first=True, device=place, dtype=dtype).eval()
    tokens = torch.rand(IMAGES, TOKENS, WIDTH, device=place, dtype=dtype)  # (B, L, W)
    with torch.inference_mode():
        layer(tokens)
        _wait(place)
        best, start = 0.0, time.perf_counter()
        while not best or time.perf_counter() - start < SECONDS:
            begun = time.perf_counter()
            layer(tokens)
            _wait(place)
            best = max(best, GFLOP / (time.perf_counter() - begun))  # what else is at work slows single rounds
    return best


def _wait(device: torch.device) -> None:
    """Until a graphics card has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
