"""Linear layers in the layout that a CPU's matrix products want, reordered once instead of at each pass.

Measured on two cores of an AMD EPYC at OPT-125M's shapes: 12 to 18% faster passes in float32, where the
default library is slower than oneDNN, and 7% in bfloat16 (docs/benchmarks.md).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from voxscale.models.loading import free_bytes


class PackedLinear(nn.Module):
    """A linear layer beside a copy of its weight in oneDNN's own layout; numbers differ by rounding only.

    `weight` and `bias` stay, for models that read them without calling the layer.

    Args:
        linear: the layer it stands for.
        packed: its weight as `pack` made it.
    """

    def __init__(self, linear: nn.Linear, packed: torch.Tensor) -> None:
        super().__init__()
        self.weight, self.bias, self.packed = linear.weight, linear.bias, packed
        self.in_features, self.out_features = linear.in_features, linear.out_features

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in) becomes (..., out)."""
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")


def pack(model: Any, rows: int) -> int:
    """Pack the linear layers of a model that lies on the CPU as a whole.

    The output head is left alone: few rows reach it, and its weight is often the embedding's. Nothing is
    packed where torch cannot, or where a second copy of the weights would take over a third of what is free.

    Args:
        model: a model of transformers, in eval mode; changed in place.
        rows: tokens or frames of a usual pass, for which the layout is chosen; others work too.

    Returns:
        the number of layers packed.
    """
    head = getattr(model, "get_output_embeddings", lambda: None)()
    found = [
        (parent, name, layer)
        for parent in model.modules()
        for name, layer in parent.named_children()
        if type(layer) is nn.Linear and layer is not head
    ]
    if not found or not _can(found[0][2].weight):
        return 0
    if 3 * sum(layer.weight.nbytes for _, _, layer in found) > free_bytes(torch.device("cpu")):
        return 0
    made: dict[int, PackedLinear] = {}  # a layer that is used twice is packed once
    for parent, name, layer in found:
        if id(layer) not in made:
            packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), rows)
            made[id(layer)] = PackedLinear(layer, packed)
        setattr(parent, name, made[id(layer)])
    return len(made)


def _can(weight: torch.Tensor) -> bool:
    """Whether torch has the operators, which it makes for its own compiler, and they know the dtype."""
    operators = torch.ops.mkldnn
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if not (hasattr(operators, "_reorder_linear_weight") and hasattr(operators, "_linear_pointwise")):
        return False
    return {
        torch.float32: lambda: True,
        torch.bfloat16: operators._is_mkldnn_bf16_supported,
        torch.float16: operators._is_mkldnn_fp16_supported,
    }.get(weight.dtype, lambda: False)()
