"""Attention by blocks of queries beside torch's own."""

import pytest
import torch
import transformers
from torch.nn.functional import scaled_dot_product_attention

from voxscale.models import attention

LENGTHS = [attention._LEAST, attention._LEAST + 1, 3 * attention._STEP - 1]


def drawn(tokens, heads=4, values=8):
    made = torch.Generator().manual_seed(0)
    shapes = ((4, 8), (heads, 8), (heads, values))
    return [torch.randn(2, n, tokens, width, generator=made, dtype=torch.float64) for n, width in shapes]


def module(causal):
    one = torch.nn.Module()
    one.is_causal, one.num_key_value_groups = causal, 2
    return one


@pytest.mark.parametrize("tokens", LENGTHS)
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("heads", "values"), [(2, 8), (4, 8), (4, 5), (2, 12)])
def test_equals_torchs_own(tokens, causal, heads, values):
    q, k, v = drawn(tokens, heads, values)
    expected = scaled_dot_product_attention(q, k, v, is_causal=causal, scale=0.3, enable_gqa=True)
    found, _ = attention.block_attention(module(causal), q, k, v, None, scaling=0.3)
    torch.testing.assert_close(found, expected.transpose(1, 2))


def test_a_mask_and_short_sequences_go_to_torchs_own(monkeypatch):
    monkeypatch.setattr(attention, "_attend", None)
    for tokens, masked in ((LENGTHS[0], True), (LENGTHS[0] - 1, False)):
        q, k, v = drawn(tokens, 2)
        mask = torch.rand(2, 1, tokens, tokens) > 0.5 if masked else None
        expected = scaled_dot_product_attention(q, k, v, mask, is_causal=not masked, enable_gqa=True)
        found, _ = attention.block_attention(module(True), q, k, v, mask)
        torch.testing.assert_close(found, expected.transpose(1, 2))


def tiny(cls, dtype):
    torch.manual_seed(0)
    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32}
    own = {
        "LlamaForCausalLM": {"num_key_value_heads": 2, "vocab_size": 50},
        "HubertModel": {
            "conv_dim": [8] * 7,
            "num_conv_pos_embeddings": 4,
            "num_conv_pos_embedding_groups": 2,
        },
    }
    model_class = getattr(transformers, cls)
    return model_class(model_class.config_class(**small | own[cls])).to(dtype).eval()


@pytest.mark.parametrize(
    ("cls", "inputs"),
    [
        ("LlamaForCausalLM", torch.arange(2 * LENGTHS[-1]).reshape(2, -1) % 50),
        ("HubertModel", torch.randn(1, 100_000, generator=torch.Generator().manual_seed(0))),
    ],
)
def test_a_model_in_bfloat16_uses_them_and_stays_as_close_to_float32(cls, inputs, monkeypatch):
    calls, attend = [], attention._attend
    monkeypatch.setattr(attention, "_attend", lambda *args: calls.append(args[-1]) or attend(*args))
    whole, plain, blocks = (tiny(cls, dtype) for dtype in (torch.float32, *[torch.bfloat16] * 2))
    attention.use_blocks(whole)
    attention.use_blocks(blocks)
    with torch.inference_mode():
        states = [
            model(inputs if inputs.dtype == torch.long else inputs.to(model.dtype), output_hidden_states=True)
            for model in (whole, plain, blocks)
        ]
    truth, own, ours = (each.hidden_states[-1].float() for each in states)
    assert calls == [cls == "LlamaForCausalLM"] * 2, "each layer of that one, and no other model's"
    error, other = ((each - truth).square().mean().sqrt() for each in (ours, own))
    assert error < 1.5 * other
    assert error < 0.03
