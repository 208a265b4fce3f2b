"""Parameter counts from a configuration, on the meta device: no weights, no memory, never typed in."""

import functools
from typing import Any, NamedTuple

from voxscale.errors import UserError, near_names
from voxscale.models.quiet import silence
from voxscale.models.registry import ModelEntry
from voxscale.models.shape import encoder_of


class ParameterCounts(NamedTuple):
    """Parameters of a model.

    Attributes:
        total: of the part with the features: the causal LM with its (un)tied head, or the speech encoder.
        non_embedding: without token, position and output embeddings.
        whole: of the model as published, with Whisper's decoder.
    """

    total: int
    non_embedding: int
    whole: int


@functools.cache
def _class_names() -> frozenset[str]:
    """Names in `transformers`, which takes half a second to list them."""
    import transformers

    return frozenset(dir(transformers))


def require_class(entry: ModelEntry) -> None:
    """Make sure of the entry's class without importing it, which takes seconds.

    Raises:
        UserError: `transformers` has none of that name.
    """
    if (name := entry.model_class) not in (known := _class_names()):
        near = near_names(str(name), known)
        advice = f"did you mean {near[0]}?" if near else "check its name"
        raise UserError(f"{entry.where}.architecture.class: transformers has no model class {name}; {advice}")


def model_class(entry: ModelEntry) -> Any:
    """The entry's class of `transformers`.

    Raises:
        UserError: the class does not exist, or is not that of a model.
    """
    import transformers

    require_class(entry)
    silence()
    found = getattr(transformers, entry.model_class)
    if getattr(found, "config_class", None) is None:
        where = f"{entry.where}.architecture.class"
        raise UserError(f"{where}: {entry.model_class} is the class of no model; check its name")
    return found


def config_of(entry: ModelEntry, **over: Any) -> Any:
    """The configuration that the entry's architecture describes.

    Raises:
        UserError: the class refuses a setting.
    """
    names = {
        "hidden_size": entry.width,
        "num_hidden_layers": entry.n_layers,
        "num_attention_heads": entry.heads,
        "vocab_size": entry.vocab,
    }
    settings = {k: v for k, v in names.items() if v is not None} | dict(entry.config) | over
    kind = model_class(entry).config_class
    try:
        return kind(**settings)
    except Exception as error:  # each configuration class has checks, and exceptions, of its own
        raise UserError(f"{entry.where}: {error}; fix its architecture") from None


def count_parameters(cls: Any, config: Any) -> ParameterCounts:
    """Count the parameters of `cls(config)`, shared ones once."""
    import torch

    with torch.device("meta"):
        model = cls(config)
    whole = sum(p.numel() for p in model.parameters())
    model = encoder_of(model)
    parameters = {id(p): p.numel() for p in model.parameters()}
    tables = [m.weight for m in model.modules() if isinstance(m, torch.nn.Embedding)]
    head = model.get_output_embeddings()
    if head is not None:
        tables.append(head.weight)
    embedding = {id(t): parameters[id(t)] for t in tables if id(t) in parameters}
    total = sum(parameters.values())
    return ParameterCounts(total, total - sum(embedding.values()), whole)
