"""The models that are offered by name, a row each; and what a model takes: room, memory, and time by its arithmetic."""

from collections.abc import Mapping
from dataclasses import dataclass

from . import paths
from .hyperparameters import IMAGE_BATCH

# What mining embeds: the candidate words of WordNet in all their prompts, for NegRefine and for the NegLabel baseline.
TEXTS = 477_000
TOKENS = 1_690_000  # that are computed for them where texts share their beginnings (text_tower.py)
BYTES_A_NUMBER = 4  # float32
COPIES = 2  # the model, and the file's weights while they are put into it
PROGRAM = 0.9e9  # bytes that Python, torch and the rest take without a model
ALIVE = 4  # tensors of a layer's size that are in use at once, on batches of pictures
# A second, on two cores, whatever the model: texts tokenised, averaged and kept; pictures read and decoded.
TEXTS_PREPARED, IMAGES_READ = 15_000, 150


@dataclass(frozen=True)
class Costs:
    """What a model consists of; a GFLOP is a billion operations. `text_gflop` is of a text at the full `context`, and
    `widest` are the numbers that its widest layer gives for a picture."""

    parameters: int
    image_gflop: float
    text_gflop: float
    context: int
    shares_prefixes: bool
    widest: int

    @property
    def download(self) -> int:
        """Bytes of the weights' file."""
        return BYTES_A_NUMBER * self.parameters

    @property
    def memory(self) -> float:
        """Bytes that are in use at most, on a processor: by the weights, and a batch of pictures."""
        batch = IMAGE_BATCH * ALIVE * BYTES_A_NUMBER * self.widest
        return PROGRAM + COPIES * BYTES_A_NUMBER * self.parameters + batch

    def images_per_second(self, rate: float) -> float:
        """On a machine that does `rate` GFLOP a second, and nothing else beside it."""
        return 1 / (self.image_gflop / rate + 1 / IMAGES_READ)

    def mining_seconds(self, rate: float) -> float:
        """To embed the lexicon's words, once; likewise."""
        gflop = TOKENS * self.text_gflop / self.context if self.shares_prefixes else TEXTS * self.text_gflop
        return gflop / rate + TEXTS / TEXTS_PREPARED


@dataclass(frozen=True)
class Model:
    """`architecture` and `tag` are open_clip's; a toy is good for drawings of a few things, and for nothing else."""

    name: str
    architecture: str
    tag: str | None
    title: str
    note: str
    costs: Costs
    is_toy: bool = False


MODELS = (
    Model(
        "demo", f"local-dir:{paths.DEMO_MODEL}", None,
        "The bundled toy", "knows emoji-like drawings of a few things, and no photographs",
        Costs(9_332_305, 0.0912, 0.015, 24, True, 22_528), is_toy=True,
    ),
    Model(
        "paper", "ViT-B-16-quickgelu", "openai",
        "ViT-B/16 by OpenAI", "the paper’s model; a good first choice for photographs",
        Costs(149_620_737, 35.13, 5.96, 77, True, 605_184),
    ),
    Model(
        "strong", "PE-Core-L-14-336", "meta",
        "PE-Core L/14 by Meta", "far stronger; for a computer with a graphics card, or with patience",
        Costs(671_138_817, 384.36, 19.43, 32, True, 2_363_392),
    ),
    Model(
        "siglip2", "ViT-B-16-SigLIP2", "webli",
        "SigLIP 2 B/16 by Google", "strong on pictures, slow to mine; needs the package transformers",
        Costs(375_187_970, 35.42, 11.02, 64, False, 602_112),
    ),
)  # fmt: skip
PRESETS: Mapping[str, tuple[str, str | None]] = {model.name: (model.architecture, model.tag) for model in MODELS}


def is_toy(name: str) -> bool:
    """Whether a run's model, by the name that its settings give, is a toy."""
    return any(model.is_toy for model in MODELS if name in (model.name, model.architecture))


def of_open_clip(model: str, pretrained: str | None) -> tuple[str, str | None]:
    """open_clip's names: of a preset where no weights are named, else as they are given."""
    return PRESETS[model] if model in PRESETS and pretrained is None else (model, pretrained)


def gigabytes(count: float) -> str:
    """Bytes as a person reads them: 12 MB, 0.6 GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"
