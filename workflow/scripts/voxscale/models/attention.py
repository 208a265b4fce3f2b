"""Attention in half precision on a CPU: blocks of queries through matrix products.

torch's own (`scaled_dot_product_attention`) is not faster there in bfloat16 than in float32. Products of a
block of queries with their keys run at the speed of the CPU's bfloat16 units, and a block's scores stay in
its cache: half the time for 640 tokens and for Whisper's 1,500 frames (docs/benchmarks.md).
"""

from typing import Any

import torch

_NAME = "voxscale-blocks"
_STEP = 128  # queries together
_LEAST = 2 * _STEP  # shorter sequences gain nothing


def _attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scaling: float, causal: bool) -> torch.Tensor:
    """softmax(scaling · q kᵀ) v, where `causal` of earlier tokens only.

    Args:
        q, k, v: (batch, tokens, width) each; the width of values may be another.

    Returns:
        as `v`.
    """
    tokens = q.shape[1]
    out, q = torch.empty_like(v), q * scaling
    later = torch.ones(_STEP, _STEP, dtype=torch.bool, device=q.device).triu(1)
    for start in range(0, tokens, _STEP):
        stop = min(start + _STEP, tokens)
        seen = stop if causal else tokens
        scores = q[:, start:stop] @ k[:, :seen].transpose(1, 2)
        if causal:
            scores[:, :, start:].masked_fill_(later[: stop - start, : stop - start], -torch.inf)
        out[:, start:stop] = scores.softmax(-1) @ v[:, :seen]
    return out


def block_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention as transformers' models call it; all but whole unmasked sequences goes to its `sdpa`.

    Args:
        query, key, value: (batch, heads, tokens, head width); keys and values may have fewer heads, values
            another width.

    Returns:
        (batch, tokens, heads, width of values), None.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    batch, heads, tokens, width = query.shape
    special = attention_mask is not None or any(
        kwargs.get(name) is not None for name in ("position_bias", "softcap", "cache")
    )
    if special or dropout or not _LEAST <= tokens == key.shape[2]:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, is_causal, **kwargs
        )
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    key, value = (x.repeat_interleave(heads // x.shape[1], 1) for x in (key, value))
    q, k, v = (x.reshape(batch * heads, tokens, x.shape[-1]) for x in (query, key, value))
    out = _attend(q, k, v, width**-0.5 if scaling is None else scaling, causal)
    return out.view(batch, heads, tokens, -1).transpose(1, 2).contiguous(), None


def use_blocks(model: Any) -> None:
    """Let a bfloat16 model on the CPU that would use torch's attention use blocks instead."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    if model.dtype != torch.bfloat16 or model.config._attn_implementation != "sdpa":
        return
    AttentionInterface.register(_NAME, block_attention)
    AttentionMaskInterface.register(_NAME, sdpa_mask)
    model.set_attn_implementation(_NAME)
