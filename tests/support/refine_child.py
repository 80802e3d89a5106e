"""A refinement in a process of its own, for the tests that kill it or take its disk away."""

import hashlib
import resource
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from negrefine_core import pipeline
from negrefine_core.judges.cache import CachedJudge
from negrefine_core.judges.openai import OpenAIJudge
from negrefine_core.judges.prompt_book import PromptBook
from negrefine_core.runs import Run


class HashEncoder:
    """Text features that depend on the text alone, and cost nothing."""

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        seeds = [int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest()) for text in texts]
        rows = [torch.randn(16, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.nn.functional.normalize(torch.stack(rows), dim=1)


def refine(folder: Path, url: str, cache: Path | None, largest_file: int | None = None, prompts: str = "paper") -> None:
    """Refine a run with the server at `url`; with `largest_file`, no file may grow beyond so many bytes."""
    if largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    run = Run.open(folder)
    wording = PromptBook.of(run).wording(prompts)
    judge = OpenAIJudge("m", url, api_key="sk-secret", concurrency=8, retries=1, wording=wording)
    pipeline.refine(run, HashEncoder(), CachedJudge(judge, cache) if cache else judge)  # type: ignore[arg-type]
