"""NegRefine: zero-shot out-of-distribution detection with CLIP and refined negative labels (ICCV 2025)."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import NegRefineError as NegRefineError

if TYPE_CHECKING:
    from .cache import CachedEncoder as CachedEncoder
    from .detector import DetectorConfig as DetectorConfig
    from .detector import NegRefineDetector as NegRefineDetector
    from .effects import Effects as Effects
    from .encoder import OpenClipEncoder as OpenClipEncoder
    from .encoder import load_encoder as load_encoder
    from .image_sets import open_image_set as open_image_set
    from .judges.openai import OpenAIJudge as OpenAIJudge
    from .judges.wordnet import WordNetJudge as WordNetJudge
    from .labels import read_class_list as read_class_list
    from .lexicon import candidates as candidates
    from .metrics import ood_metrics as ood_metrics
    from .mining import mine_negatives as mine_negatives
    from .negfilter import NegFilter as NegFilter
    from .reference import import_reference as import_reference
    from .runs import Run as Run

# Torch's threads sleep while they wait for each other. By default they spin, on the cores that read the next pictures.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when torch is imported

_PUBLIC = {
    "cache": {"CachedEncoder"},
    "detector": {"DetectorConfig", "NegRefineDetector"},
    "effects": {"Effects"},
    "encoder": {"OpenClipEncoder", "load_encoder"},
    "image_sets": {"open_image_set"},
    "judges.wordnet": {"WordNetJudge"},
    "labels": {"read_class_list"},
    "lexicon": {"candidates"},
    "judges.openai": {"OpenAIJudge"},
    "metrics": {"ood_metrics"},
    "mining": {"mine_negatives"},
    "negfilter": {"NegFilter"},
    "reference": {"import_reference"},
    "runs": {"Run"},
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: torch and open_clip take seconds, and `--help` should not."""
    for module, names in _PUBLIC.items():
        if name in names:
            return getattr(import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
