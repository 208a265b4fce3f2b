"""Packed linear layers give what the layers they stand for gave."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_models import SETTINGS, language_architectures, make_card
from torch import nn

from voxscale.features.language_model import LanguageModel
from voxscale.models import packed
from voxscale.models.packed import PackedLinear, pack, put_channels_last

torch.set_num_threads(1)


def network(dtype):
    torch.manual_seed(0)
    shared = nn.Linear(48, 48)
    return nn.Sequential(nn.Linear(32, 48), shared, nn.GELU(), shared, nn.Linear(48, 5, bias=False)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [(1,), (7,), (2, 600)])
@torch.inference_mode()
def test_the_same_numbers(dtype, rows):
    dense, other = network(dtype).eval(), network(dtype).eval()
    x = torch.randn(*rows, 32, generator=torch.Generator().manual_seed(1)).to(dtype)
    # A CPU without units for bfloat16 keeps its layers as they are.
    n = 3 if dtype == torch.float32 or torch.ops.mkldnn._is_mkldnn_bf16_supported() else 0
    assert pack(other, 64) == n
    assert sum(isinstance(m, PackedLinear) for m in other.modules()) == n
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 0.02, "atol": 0.02}
    torch.testing.assert_close(other(x), dense(x), **close)
    assert torch.equal(other[0].weight, dense[0].weight)


@torch.inference_mode()
def test_convolutions_with_channels_last_give_the_same():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv1d(1, 8, 10, stride=5, bias=False),
        nn.Conv1d(8, 12, 3, stride=2),
        nn.Conv1d(12, 12, 8, padding=4, groups=3, dilation=2),
        nn.Conv1d(12, 4, 3, padding="same"),
    )
    x = torch.randn(2, 1, 500)
    expected = model(x)
    assert put_channels_last(model) == 0, "float32 is faster as it is"
    half = model.to(torch.bfloat16)
    before = half(x.to(torch.bfloat16))
    assert put_channels_last(half) == 2
    after = half(x.to(torch.bfloat16))
    assert after.shape == expected.shape
    torch.testing.assert_close(after, before, rtol=0.02, atol=0.02)
    torch.testing.assert_close(after.float(), expected, rtol=0.05, atol=0.05)


def test_nothing_is_packed_without_room_or_operators(monkeypatch):
    model = network(torch.float32)
    with monkeypatch.context() as patch:
        memory = SimpleNamespace(total=3 * sum(p.nbytes for p in model.parameters()) // 2)
        patch.setattr(packed.psutil, "virtual_memory", lambda: memory)
        assert pack(model, 64) == 0
    assert pack(network(torch.float64), 64) == 0
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert pack(model, 64) == 0


@pytest.mark.parametrize("bits", [False, True])
def test_a_text_model_is_packed_and_its_head_where_it_is_used(tmp_path, bits):
    card = make_card(language_architectures()["OPTForCausalLM"], tmp_path)
    model = LanguageModel(card, {**SETTINGS, "bits_per_character": bits})
    kinds = [type(m) for m in model.model.modules()]
    assert kinds.count(PackedLinear) == 12 + bits
    assert type(model.reader.head) is (PackedLinear if bits else nn.Linear)
    ids = torch.arange(2, 30)[None]
    with torch.inference_mode():
        ours = model.model(input_ids=ids).logits
        plain = type(model.model).from_pretrained(card["path"]).eval()(input_ids=ids).logits
    np.testing.assert_allclose(ours, plain, atol=1e-5)
