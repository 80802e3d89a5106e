"""What a model takes is known before it is there: the table's figures are those of the shapes, and times follow."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from negrefine_core import lexicon
from negrefine_core.benchmarks import costs as module
from negrefine_core.benchmarks.costs import costs, machine_rate, measured
from negrefine_core.encoder import load_encoder
from negrefine_core.errors import NegRefineError
from negrefine_core.labels import (
    ADJECTIVE_TEMPLATES,
    NEGLABEL_ADJECTIVE_TEMPLATES,
    NEGLABEL_NOUN_TEMPLATES,
    NOUN_TEMPLATES,
)
from negrefine_core.models import MODELS, TEXTS, Costs, Model, gigabytes, is_toy


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_the_tables_figures_are_those_of_the_models_shapes(model: Model) -> None:
    found = measured(model.architecture)
    gflop = {"image_gflop": found.image_gflop, "text_gflop": found.text_gflop}
    assert found == replace(model.costs, **gflop)
    assert (found.image_gflop, found.text_gflop) == pytest.approx(
        (model.costs.image_gflop, model.costs.text_gflop), rel=0.01
    )


def test_mining_embeds_so_many_texts() -> None:
    words = lexicon.candidates(["cat", "dog"])
    nouns = len(NOUN_TEMPLATES) + len(NEGLABEL_NOUN_TEMPLATES)
    adjectives = len(ADJECTIVE_TEMPLATES) + len(NEGLABEL_ADJECTIVE_TEMPLATES)
    assert nouns * len(words.nouns) + adjectives * len(words.adjectives) == pytest.approx(TEXTS, rel=0.01)


def test_times_follow_from_the_arithmetic_and_this_machines_speed() -> None:
    shared = Costs(100_000_000, image_gflop=20.0, text_gflop=5.0, context=50, shares_prefixes=True, widest=1_000_000)
    assert shared.images_per_second(100.0) == pytest.approx(1 / (0.2 + 1 / 150))
    assert shared.mining_seconds(100.0) == pytest.approx(1_690_000 * 0.1 / 100 + 477_000 / 15_000)
    whole = Costs(100_000_000, 20.0, 5.0, 50, shares_prefixes=False, widest=1_000_000)
    assert whole.mining_seconds(100.0) == pytest.approx(477_000 * 5 / 100 + 477_000 / 15_000)
    assert shared.download == 400_000_000
    assert shared.memory == pytest.approx(0.9e9 + 2 * 4 * 100e6 + 64 * 4 * 4 * 1e6)


def test_the_speed_is_measured_on_a_layer_whose_arithmetic_is_counted_right() -> None:
    layer = nn.TransformerEncoderLayer(module.WIDTH, module.HEADS, 4 * module.WIDTH, batch_first=True)
    with FlopCounterMode(display=False) as counted:
        layer(torch.rand(module.IMAGES, module.TOKENS, module.WIDTH))
    assert pytest.approx(counted.get_total_flops() / 1e9, rel=0.01) == module.GFLOP
    assert machine_rate("cpu") > 0


def test_another_architecture_is_counted_and_a_name_that_is_none_is_said() -> None:
    other = costs("ViT-B-32", "openai")
    assert other.parameters == 151_277_313
    assert other.image_gflop == pytest.approx(8.7, rel=0.05)
    with pytest.raises(NegRefineError, match=r"did you mean .*ViT-B-32"):
        costs("ViT-B/32", "openai")
    with pytest.raises(NegRefineError, match="needs weights"):
        costs("ViT-B-32")
    with pytest.raises(NegRefineError, match="/no/folder takes cannot be counted before it is loaded"):
        costs("local-dir:/no/folder")


def test_a_model_in_a_folder_is_counted(tiny_model: str) -> None:
    assert costs(tiny_model).context == load_encoder(tiny_model, device="cpu").context_length


def test_the_bundled_model_alone_is_a_toy() -> None:
    assert [model.name for model in MODELS if model.is_toy] == ["demo"]
    assert is_toy("demo")
    assert is_toy(MODELS[0].architecture)
    assert not is_toy("paper")
    assert not is_toy("local-dir:/elsewhere")


def test_sizes_are_written_as_a_person_reads_them() -> None:
    assert [gigabytes(n) for n in (12_000_000, 598_000_000, 2_684_555_268)] == ["12 MB", "0.6 GB", "2.7 GB"]
