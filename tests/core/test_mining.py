"""Mining: the least similar candidates, against a naive loop."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from negrefine_core import mining
from negrefine_core.cache import CachedEncoder
from negrefine_core.encoder import OpenClipEncoder
from negrefine_core.errors import NegRefineError
from negrefine_core.labels import ADJECTIVE_TEMPLATES, NOUN_TEMPLATES
from negrefine_core.lexicon import Candidates, candidates
from negrefine_core.mining import mine_negatives, mine_neglabel_negatives, prompts
from tests.support.project import ROOT

IDS = ["dog", "red fox", "cat"]


@pytest.fixture(scope="module")
def words() -> Candidates:
    return candidates(IDS, noun_files=["noun.Tops", "noun.motive"], adjective_files=["adj.ppl"])


def naive(
    encoder: OpenClipEncoder,
    labels: tuple[str, ...],
    templates: tuple[str, ...],
    fraction: float,
    id_templates: tuple[str, ...] = NOUN_TEMPLATES,
    percentile: float | None = None,
) -> list[tuple[str, float]]:
    ids = encoder.encode_labels(IDS, id_templates).double().numpy()
    rows = []
    for place, feature in enumerate(encoder.encode_labels(labels, templates).double().numpy()):
        cosines = [float(feature @ row) for row in ids]
        rows.append((max(cosines) if percentile is None else float(np.quantile(cosines, percentile)), place))
    return [(labels[place], similarity) for similarity, place in sorted(rows)[: int(fraction * len(labels))]]


@pytest.mark.parametrize("fraction", [0.15, 0.5, 1.0])
def test_mined_negatives_are_the_least_similar_of_each_kind_most_distant_first(
    encoder: OpenClipEncoder, words: Candidates, fraction: float
) -> None:
    found = mine_negatives(encoder, IDS, words, fraction)
    expected = naive(encoder, words.nouns, NOUN_TEMPLATES, fraction)
    expected += naive(encoder, words.adjective_phrases, ADJECTIVE_TEMPLATES, fraction)
    assert [negative.label for negative in found] == [label for label, _ in expected]
    assert [negative.similarity for negative in found] == pytest.approx([s for _, s in expected], abs=1e-5)
    nouns = int(fraction * len(words.nouns))
    assert [negative.pos for negative in found] == ["noun"] * nouns + ["adjective"] * (len(found) - nouns)


def test_neglabels_own_negatives_rank_plain_words_by_the_95th_percentile(
    encoder: OpenClipEncoder, words: Candidates
) -> None:
    found = mine_neglabel_negatives(encoder, IDS, words)
    expected = naive(encoder, words.nouns, ("the nice {}",), 0.15, ("the nice {}",), 0.95)
    expected += naive(encoder, words.adjectives, ("This is a {} photo",), 0.15, ("the nice {}",), 0.95)
    assert [negative.label for negative in found] == [label for label, _ in expected]
    assert [negative.similarity for negative in found] == pytest.approx([s for _, s in expected], abs=1e-5)


def test_chunks_do_not_change_the_similarities(monkeypatch: pytest.MonkeyPatch) -> None:
    features, ids = torch.randn(50, 8), torch.randn(7, 8)
    whole = [mining.candidate_similarity(features, ids, p) for p in (None, 0.95)]
    monkeypatch.setattr(mining, "SIMILARITIES", 24)
    for before, percentile in zip(whole, (None, 0.95), strict=True):
        torch.testing.assert_close(mining.candidate_similarity(features, ids, percentile), before)


def test_words_equally_similar_keep_the_lexicons_order() -> None:
    words = [f"word {i}" for i in range(50)]  # at a right angle to all ID labels: exactly 0 on every processor
    mined = mining._least_similar("noun", words, torch.eye(2)[[0] * 50], torch.eye(2)[[1, 1]], 1.0)
    assert [negative.label for negative in mined] == words


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, float("nan")])
def test_a_fraction_that_is_none_is_refused(encoder: OpenClipEncoder, words: Candidates, fraction: float) -> None:
    with pytest.raises(NegRefineError, match="fraction must be above 0 and at most 1"):
        mine_negatives(encoder, IDS, words, fraction)


def test_a_kind_without_candidates_gives_none(encoder: OpenClipEncoder) -> None:
    found = mine_negatives(encoder, ["dog"], Candidates((), ("big",), ("big thing",)), 1.0)
    assert [(negative.label, negative.pos) for negative in found] == [("big thing", "adjective")]


def test_the_progress_of_both_kinds_is_one_bar(encoder: OpenClipEncoder, words: Candidates, tmp_path: Path) -> None:
    total = prompts(words)[0]
    assert total == 8 * len(words.nouns) + 4 * len(words.adjectives)
    for model in (encoder, CachedEncoder(encoder, tmp_path)):
        calls: list[tuple[int, int]] = []
        mine_negatives(model, IDS, words, progress=lambda *call, calls=calls: calls.append(call))
        assert calls[-1] == (total, total)
        assert calls == sorted(calls)


@pytest.mark.slow
def test_mining_writes_the_same_bytes_whatever_the_hash_seed(tiny_model: str, tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from negrefine_core import pipeline
from negrefine_core.cache import CachedEncoder
from negrefine_core.encoder import load_encoder
from negrefine_core.judges.wordnet import WordNetJudge
from negrefine_core.runs import Run, Settings
folder = Path(sys.argv[1])
settings = Settings(model={tiny_model!r}, noun_files=("noun.Tops", "noun.motive"), adjective_files=("adj.ppl",),
                    fraction=0.5, word_filter=True)
run = Run.create("r", settings, {IDS!r}, folder)
encoder = CachedEncoder(load_encoder(settings.model, device="cpu"), folder / "cache")
pipeline.mine(run, encoder)
pipeline.refine(run, encoder, WordNetJudge())
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path / seed)], cwd=ROOT,
                         env=os.environ | {"PYTHONHASHSEED": seed})
        for seed in ("1", "2")
    ]  # fmt: skip
    assert [process.wait() for process in processes] == [0, 0]
    for name in ("id_labels.txt", "initial_negatives.csv", "neglabel_negatives.csv", "negatives.csv", "run.json"):
        first, second = ((tmp_path / seed / "r" / name).read_bytes() for seed in ("1", "2"))
        assert first == second, name
        assert first.count(b"\n") >= 3
