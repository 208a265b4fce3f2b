"""Which part of a model makes its features, how deep that is and how many tokens it takes."""

import contextlib
from typing import Any


def encoder_of(model: Any) -> Any:
    """The encoder of a speech model, or the model itself where it is nothing else."""
    config = model.config
    has_decoder = config.is_encoder_decoder or hasattr(config, "encoder_config")  # or a head (Parakeet)
    return model.get_encoder() if has_decoder else model


def part(config: Any, modality: str) -> Any:
    """The configuration of what makes the features: of a language model's text, or a speech encoder.

    Raises:
        ValueError: a language model has an encoder or several text models.
    """
    if modality == "speech":
        own = getattr(config, "encoder_config", None) or getattr(config, "encoder", None)
        return own or config.get_text_config(encoder=config.is_encoder_decoder or None)
    try:
        found = config.get_text_config()
    except ValueError:  # transformers' own
        raise ValueError("its config.json describes several text models; use a model of one") from None
    if config.is_encoder_decoder:
        raise ValueError(
            "is an encoder-decoder, whose decoder was not trained to read alone; use a decoder-only model"
        )
    return found


def depth(config: Any, modality: str) -> int:
    """Blocks of a language model, or of a speech model's encoder.

    Raises:
        ValueError: the configuration does not say, or as `part`.
    """
    names = ["num_hidden_layers"]
    if modality == "language":
        # A decoder that was saved alone may still have its encoder's settings; LongCat counts half blocks.
        names = ["decoder_layers", "num_decoder_layers", "num_layers", *names]
    own = part(config, modality)
    found = next((value for name in names if (value := getattr(own, name, None))), None)
    if found is None:
        raise ValueError("its config.json says no number of layers; use another model")
    return found


def published_dtype(config: Any) -> str:
    """Precision of the weights as they were published, for instance bfloat16."""
    with contextlib.suppress(ValueError):  # several text models
        config = config.get_text_config()
    return str(getattr(config, "dtype", None) or "float32").removeprefix("torch.")


def most_tokens(config: Any) -> int | None:
    """Tokens that a language model takes at a time; None where nothing limits them."""
    names = ("max_position_embeddings", "n_positions", "max_seq_len", "max_target_positions")
    return next((value for name in names if (value := getattr(config, name, None))), None)
