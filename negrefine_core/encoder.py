"""CLIP encoders on open_clip: texts, labels and images to L2-normalised float32 features (paper, section 3)."""

import contextlib
import difflib
import hashlib
import importlib.util
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from . import text_tower
from .background import ahead
from .errors import NegRefineError
from .labels import BARE
from .models import PRESETS
from .progress import Progress
from .text_tower import PrefixTree
from .tokens import LabelTokens

B = TypeVar("B")

RANDOM_WEIGHTS = "random"  # `pretrained` for an architecture with seeded random weights: benchmarks and tests

LABEL_CHUNK = 512  # labels whose texts are encoded together
LABEL_CHUNK_CUDA = 4096  # so that a graphics card rarely waits for the first tree of a chunk
TREE_BATCH = 2048  # texts that share their prefixes: larger trees leave the processor's cache and are slower
TEXT_BATCH = 256  # texts at once, for a tower that needs their padding


class Encoder(Protocol):
    """What the method needs of a CLIP model. Features are float32, on the CPU and L2-normalised."""

    name: str
    dim: int
    fingerprint: str  # of the weights and all that shapes a feature: equal fingerprints, equal features

    def encode_texts(self, texts: Sequence[str]) -> Tensor: ...  # (N, D)

    def encode_labels(
        self, labels: Sequence[str], templates: Sequence[str], progress: Progress | None = None
    ) -> Tensor: ...  # (L, D)

    def encode_images(self, images: Sequence[Image.Image]) -> Tensor: ...  # (B, D)


class OpenClipEncoder:
    """Any open_clip model.

    Args:
        model: open_clip architecture (`ViT-B-16-quickgelu`), `hf-hub:org/repo`, or `local-dir:/folder`.
        pretrained: open_clip's tag for the weights, a local checkpoint file, or `"random"`; none for the last two
            forms of `model`, which carry their weights.
        device: `auto` (CUDA, then MPS, then CPU) or a torch device. On CUDA the model runs in half precision.

    Raises NegRefineError when the model is unknown, its weights cannot be had, or the device is not there.
    """

    def __init__(self, model: str, pretrained: str | None = None, device: str = "auto") -> None:
        self.device = pick_device(device)
        self.precision = precision(self.device)
        self._model, self._preprocess, self._tokenizer = _load(model, pretrained, self.device, self.precision)
        self.name = model if not pretrained else f"{model}/{Path(pretrained).name}"
        if model.startswith("local-dir:"):
            self.name = Path(model.removeprefix("local-dir:")).name
        self.tokens = LabelTokens(self._tokenizer)
        self.context_length = self.tokens.context
        self._text_tower = text_tower.shares_prefixes(self._model)
        self._dtype = torch.float16 if self.precision == "fp16" else torch.float32
        shapes = (repr(self._preprocess), self.context_length, self.precision, *_tokenizer_of_its_own(self._tokenizer))
        self.fingerprint = _fingerprint(self._model, shapes)
        self.dim = int(self._means(["a"], BARE).shape[1])

    @classmethod
    def from_preset(cls, preset: str, device: str = "auto") -> "OpenClipEncoder":
        """A row of `models.MODELS` by its name, such as `demo` (bundled) or `paper` (ViT-B/16, QuickGELU)."""
        if preset not in PRESETS:
            raise NegRefineError(f"no model preset {preset!r}; choose one of {', '.join(PRESETS)}")
        encoder = cls(*PRESETS[preset], device=device)
        encoder.name = preset if preset == "demo" else encoder.name
        return encoder

    @property
    def cuts_padding(self) -> bool:
        """Whether texts are encoded without padding and with shared prefixes, which is exact for causal towers."""
        return self._text_tower is not None

    @property
    def frees_processor(self) -> bool:
        """Whether the processor has time for other work while the model computes."""
        return self.device.type != "cpu"

    @property
    def label_chunk(self) -> int:
        """How many labels are best encoded together."""
        return LABEL_CHUNK_CUDA if self.device.type == "cuda" else LABEL_CHUNK

    def is_too_long(self, text: str) -> bool:
        """Whether a text exceeds the model's context, so that its end is not read."""
        cut, whole = (self._tokenizer([text], self.context_length + more)[0] for more in (0, 1))
        return not bool(cut.equal(whole[:-1]))

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """(N, D) features of texts as they are."""
        return self.encode_labels(texts, BARE)

    def encode_labels(
        self, labels: Sequence[str], templates: Sequence[str], progress: Progress | None = None
    ) -> Tensor:
        """(L, D): for each label the mean of its templates' raw text features, then L2-normalised."""
        features = torch.empty(len(labels), self.dim)  # (L, D)
        for start in range(0, len(labels), self.label_chunk):
            chunk = labels[start : start + self.label_chunk]
            features[start : start + len(chunk)] = functional.normalize(self._means(chunk, templates), dim=-1)  # (l, D)
            if progress:
                progress(start + len(chunk), len(labels))
        return features

    def encode_images(self, images: Sequence[Image.Image]) -> Tensor:
        """(B, D) features of PIL images."""
        if not images:
            return torch.empty(0, self.dim)
        return self.encode_pixels(torch.stack([self.preprocess(image) for image in images]))

    def preprocess(self, image: Image.Image) -> Tensor:
        """(H, W, 3) what the model sees of one image, as bytes; safe to call from several threads."""
        shrunk = image if image.mode == "RGB" else image.convert("RGB")
        for step in self._preprocess.transforms[:-2]:
            shrunk = step(shrunk)
        return torch.from_numpy(np.array(shrunk))

    def stacked(self, pixels: Sequence[Tensor]) -> Tensor:
        """(B, H, W, 3) of preprocessed images, where a graphics card can fetch them while it computes."""
        if not pixels:
            return torch.empty(0)
        batch = torch.stack(list(pixels))
        return batch.pin_memory() if self.device.type == "cuda" else batch

    def encode_pixels(self, pixels: Tensor) -> Tensor:
        """(B, D) features of preprocessed images (B, H, W, 3)."""
        return halving(self._pixel_features, pixels, _halves)

    @torch.inference_mode()
    def _pixel_features(self, pixels: Tensor) -> Tensor:
        there = self._model_input(pixels.to(self.device, non_blocking=True)).to(self._dtype)  # (B, 3, H, W)
        return functional.normalize(self._model.encode_image(there).float(), dim=-1).cpu()  # (B, D)

    def _model_input(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) by open_clip's last two steps, ToTensor and Normalize, of bytes (B, H, W, 3), on their device.

        As bytes, a picture is a quarter as large on its way there, and the threads that decode are free for the next.
        """
        between_0_and_1 = pixels.permute(0, 3, 1, 2).contiguous().float().div_(255)  # (B, 3, H, W)
        normalized: Tensor = self._preprocess.transforms[-1](between_0_and_1)
        return normalized

    @torch.inference_mode()
    def _means(self, labels: Sequence[str], templates: Sequence[str]) -> Tensor:
        """(L, D) each label's mean over its templates' features before normalisation, on the device."""

        def mean(raw: Tensor) -> Tensor:
            return raw.view(-1, len(templates), raw.shape[1]).mean(1)  # (l x T, D) -> (l, D)

        if self._text_tower is None:
            tokens = self.tokens.rows(labels, templates)  # (L x T, W)
            return mean(self._full_context_features(functional.pad(tokens, (0, self.context_length - tokens.shape[1]))))
        trees = ahead(self.trees(labels, templates))
        return torch.cat([mean(halving(self.encode_tree, tree, PrefixTree.halves)) for tree in trees])

    def trees(self, labels: Sequence[str], templates: Sequence[str]) -> Iterator[PrefixTree]:
        """The prefix trees of labels in templates; a label's texts are in one."""
        together = max(1, TREE_BATCH // len(templates))  # labels
        for start in range(0, len(labels), together):
            rows = self.tokens.rows(labels[start : start + together], templates)  # (n, W)
            yield text_tower.prefix_tree(rows, rows.argmax(1) + 1)  # the end-of-text token has the highest number

    @torch.inference_mode()
    def encode_tree(self, tree: PrefixTree) -> Tensor:
        """(N, D) features of a tree's texts before normalisation, on the device."""
        return text_tower.text_features(self._text_tower, tree).float()

    @torch.inference_mode()
    def full_context_features(self, texts: Sequence[str]) -> Tensor:
        """(N, D) features before normalisation by open_clip's own `encode_text`, padding and all."""
        return self._full_context_features(self._tokenizer(list(texts)))

    def _full_context_features(self, tokens: Tensor) -> Tensor:
        def encode(batch: Tensor) -> Tensor:
            features: Tensor = self._model.encode_text(batch.to(self.device)).float().cpu()
            return features

        return torch.cat([halving(encode, batch, _halves) for batch in torch.split(tokens, TEXT_BATCH)])


def halving(work: Callable[[B], Tensor], batch: B, halves: Callable[[B], Sequence[B]]) -> Tensor:
    """(n, D) work on a batch of n; on its halves where the device's memory does not hold the whole.

    Raises NegRefineError where it does not even hold one.
    """
    try:
        return work(batch)
    except torch.cuda.OutOfMemoryError as error:
        parts = halves(batch)
        if len(parts) < 2:
            raise NegRefineError(
                "the device has too little memory for a single image or text; end what else uses it, or use the "
                "device 'cpu'"
            ) from error
    return torch.cat([halving(work, part, halves) for part in parts])


def _halves(batch: Tensor) -> Sequence[Tensor]:
    return batch.chunk(2)


def pick_device(device: str) -> torch.device:
    """The device of a name, `auto` being the best there is. Raises NegRefineError where it cannot be used."""
    if device == "auto":
        device = _best_device()
    try:
        picked = torch.device(device)
        torch.empty(0, device=picked)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise NegRefineError(f"device {device!r} cannot be used ({reason}); use 'auto' or 'cpu'") from error
    return picked


def precision(device: torch.device) -> str:
    """That models have there."""
    return "fp16" if device.type == "cuda" else "fp32"


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _load(model: str, pretrained: str | None, device: torch.device, precision: str) -> tuple[Any, Any, Any]:
    """(model, preprocessing, tokenizer) by open_clip, with one clear error when the weights cannot be had."""
    import open_clip  # here: it takes seconds to import

    check_name(model, pretrained)
    self_contained = _is_self_contained(model)
    random = pretrained == RANDOM_WEIGHTS
    tagged = open_clip.get_pretrained_cfg(model, pretrained) if pretrained and not self_contained else {}
    try:
        _check_packages(model)
        with torch.random.fork_rng(devices=[]), quiet():
            torch.manual_seed(0)
            if random:
                loaded, _, preprocess = open_clip.create_model_and_transforms(
                    model, device=device, precision=precision, pretrained_text=False
                )
            else:  # raises where open_clip's plain loader would go on with random weights
                loaded, preprocess = open_clip.create_model_from_pretrained(
                    model,
                    pretrained,
                    device=device,
                    precision=precision,
                    force_quick_gelu=bool(tagged.get("quick_gelu", False)),  # a tag trained with it is wrong without it
                )
            tokenizer = open_clip.get_tokenizer(model)
    except NegRefineError:
        raise
    except Exception as error:  # open_clip and its hub client raise many kinds: all mean that there are no weights
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise NegRefineError(
            f"cannot load the weights of {model}{'/' + pretrained if pretrained else ''}: {reason}. "
            "Check the name and the network, give a local checkpoint file as the pretrained weights "
            "(or local-dir:FOLDER as the model), or use the bundled model 'demo'"
        ) from error
    return loaded.eval().requires_grad_(False), preprocess, tokenizer


def check_name(model: str, pretrained: str | None) -> None:
    """Raise NegRefineError where open_clip has no such model, or where it needs weights and none are named."""
    if _is_self_contained(model):
        return
    import open_clip  # here: it takes seconds to import

    if model not in open_clip.list_models():
        close = difflib.get_close_matches(model, open_clip.list_models(), n=4, cutoff=0.4)
        raise NegRefineError(f"open_clip has no model {model!r}; did you mean {', '.join(close) or 'hf-hub:ORG/NAME'}?")
    if pretrained is None:
        tags = open_clip.list_pretrained_tags_by_model(model)
        raise NegRefineError(f"{model} needs weights: give a pretrained tag ({', '.join(tags)}) or a checkpoint file")


def _is_self_contained(model: str) -> bool:
    """Whether a model's name says where its weights are."""
    return model.startswith(("hf-hub:", "local-dir:"))


def _check_packages(model: str) -> None:
    """Raise where a model's texts need a package that is not installed: before its weights are fetched."""
    if importlib.util.find_spec("transformers"):
        return
    import open_clip

    text = (open_clip.get_model_config(model) or {}).get("text_cfg", {})
    if text.get("hf_tokenizer_name") or text.get("hf_model_name"):
        raise NegRefineError(
            f"{model} splits texts with a tokenizer of Hugging Face's, which needs one more package: "
            "pip install transformers, and start again; PE-Core and OpenAI's models need none"
        )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without open_clip's log lines on random weights and the like: what matters is raised."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _tokenizer_of_its_own(tokenizer: Any) -> tuple[str, ...]:
    """What tells a Hugging Face tokenizer from another; nothing for CLIP's, of which there is one."""
    from open_clip.tokenizer import HFTokenizer

    if not isinstance(tokenizer, HFTokenizer):
        return ()
    return (tokenizer.tokenizer.backend_tokenizer.to_str(),)


def _fingerprint(model: nn.Module, rest: object) -> str:
    """Hash of the weights, the architecture (its layers, and numbers such as the attention heads) and the rest."""
    digest = hashlib.blake2b(repr((model, rest)).encode(), digest_size=16)
    for name, layer in model.named_modules():
        plain = sorted((k, v) for k, v in vars(layer).items() if isinstance(v, int | float | str) and k[0] != "_")
        digest.update(repr((name, plain)).encode())
    for name, weight in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(weight.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def load_encoder(model: str = "demo", pretrained: str | None = None, device: str = "auto") -> OpenClipEncoder:
    """An encoder by the name of a row of `models.MODELS`, or by open_clip's own names."""
    if model in PRESETS and pretrained is None:
        return OpenClipEncoder.from_preset(model, device)
    return OpenClipEncoder(model, pretrained, device)
