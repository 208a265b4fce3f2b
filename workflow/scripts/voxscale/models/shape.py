"""How deep a model is and how many tokens it takes, as its configuration says."""

from __future__ import annotations

from typing import Any


def depth(config: Any, modality: str) -> int:
    """Blocks of a language model, or of a speech model's encoder.

    Raises:
        ValueError: the configuration does not say, or a language model has an encoder.
    """
    names = ["num_hidden_layers"]
    if modality == "language":
        if config.is_encoder_decoder:
            raise ValueError(
                "is an encoder-decoder, whose decoder was not trained to read alone; use a decoder-only model"
            )
        # A decoder that was saved alone may still have its encoder's settings.
        names = ["decoder_layers", "num_decoder_layers", *names]
    config = config.get_text_config(encoder=config.is_encoder_decoder or None)
    found = next((value for name in names if (value := getattr(config, name, None))), None)
    if found is None:
        raise ValueError("its config.json says no number of layers; use another model")
    return found


def most_tokens(config: Any) -> int | None:
    """Tokens that a language model takes at a time; None where nothing limits them."""
    names = ("max_position_embeddings", "n_positions", "max_seq_len", "max_target_positions")
    return next((value for name in names if (value := getattr(config, name, None))), None)
