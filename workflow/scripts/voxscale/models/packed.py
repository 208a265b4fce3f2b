"""Layers in the layouts that a CPU's products want: weights reordered once instead of at each pass.

Measured on two cores of an AMD EPYC at OPT-125M's shapes: 12 to 18% faster passes in float32, where the
default library is slower than oneDNN, and 7% in bfloat16 (docs/benchmarks.md).
"""

from typing import Any

import psutil
import torch
from torch import nn


class PackedLinear(nn.Module):
    """A linear layer with a copy of its weight in oneDNN's layout; numbers differ by rounding only.

    `weight` and `bias` stay, for models that read them without calling the layer.

    Args:
        linear: the layer that it replaces.
        packed: its weight as `pack` made it.
    """

    def __init__(self, linear: nn.Linear, packed: torch.Tensor) -> None:
        super().__init__()
        self.weight, self.bias, self.packed = linear.weight, linear.bias, packed
        self.in_features, self.out_features = linear.in_features, linear.out_features

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in) becomes (..., out)."""
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")


class _ChannelsLastConv1d(nn.Conv1d):
    """A convolution over time whose values lie channels last, which bfloat16 convolutions want on a CPU.

    Measured on HuBERT-base's front end: 18% faster in bfloat16, 5% slower in float32 (docs/benchmarks.md).
    """

    def _conv_forward(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """(batch, channels, time), with one row of pixels standing for time."""
        rows = x.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        one = [(1, self.stride[0]), (0, self.padding[0]), (1, self.dilation[0])]
        return nn.functional.conv2d(rows, weight.unsqueeze(2), bias, *one, self.groups).squeeze(2)


def put_channels_last(model: Any) -> int:
    """Let the convolutions over time of a bfloat16 model on the CPU keep their values channels last.

    Args:
        model: changed in place.

    Returns:
        the number of convolutions changed.
    """
    found = [
        layer
        for layer in model.modules()
        if type(layer) is nn.Conv1d
        and layer.weight.dtype == torch.bfloat16
        and layer.groups < layer.in_channels  # depthwise ones of few channels hang there
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
    ]
    for layer in found:
        layer.__class__ = _ChannelsLastConv1d  # it has no state of its own
    return len(found)


def pack(model: Any, rows: int, head: bool = False) -> int:
    """Pack the linear layers of a model that lies on the CPU as a whole.

    Nothing is packed where torch cannot, or where a second copy of the weights would take over a third of
    the machine's memory: of all of it, since a job that resumes with less of it free must round alike.

    Args:
        model: a model of transformers, in eval mode; changed in place.
        rows: tokens or frames of a usual pass, for which the layout is chosen; others work too.
        head: whether the output head is used, and packed too.

    Returns:
        the number of layers packed.
    """
    unused = None if head else getattr(model, "get_output_embeddings", lambda: None)()
    found = [
        (parent, name, layer)
        for parent in model.modules()
        for name, layer in parent.named_children()
        if type(layer) is nn.Linear and layer is not unused
    ]
    if not found or not _can(found[0][2].weight):
        return 0
    if 3 * sum(layer.weight.nbytes for _, _, layer in found) > psutil.virtual_memory().total:
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
