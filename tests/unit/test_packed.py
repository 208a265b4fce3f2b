"""Packed linear layers give what the layers they stand for gave."""

import numpy as np
import pytest
import torch
from tiny_models import SETTINGS, language_architectures, make_card
from torch import nn

from voxscale.models import packed
from voxscale.models.packed import PackedLinear, pack
from voxscale.text_model import TextModel

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
    assert pack(other, 64) == 3
    assert sum(isinstance(m, PackedLinear) for m in other.modules()) == 3
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 0.02, "atol": 0.02}
    torch.testing.assert_close(other(x), dense(x), **close)
    assert torch.equal(other[0].weight, dense[0].weight)


def test_nothing_is_packed_without_room_or_operators(monkeypatch):
    model = network(torch.float32)
    with monkeypatch.context() as patch:
        patch.setattr(packed, "free_bytes", lambda _: 3 * sum(p.nbytes for p in model.parameters()) // 2)
        assert pack(model, 64) == 0
    assert pack(network(torch.float64), 64) == 0
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert pack(model, 64) == 0


def test_a_text_model_is_packed_but_for_its_head(tmp_path):
    card = make_card(language_architectures()["OPTForCausalLM"], tmp_path)
    model = TextModel(card, SETTINGS)
    kinds = [type(m) for m in model.model.modules()]
    assert kinds.count(PackedLinear) == 12
    assert type(model.reader.head) is nn.Linear
    ids = torch.arange(2, 30)[None]
    with torch.inference_mode():
        ours = model.model(input_ids=ids).logits
        plain = type(model.model).from_pretrained(card["path"]).eval()(input_ids=ids).logits
    np.testing.assert_allclose(ours, plain, atol=1e-5)
