"""Tiny models with random weights, saved once in the hub's on-disk format, each with its tokenizer."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from voxscale.errors import UserError
from voxscale.models.counting import config_of, model_class
from voxscale.models.registry import ModelEntry


def train_tokenizer(texts: Iterable[str], vocab: int, bos: bool = True) -> Any:
    """Train a byte-level BPE on `texts`, which can spell anything.

    Args:
        vocab: its largest size; at least 260 (all bytes and the special tokens).
        bos: whether it puts a beginning-of-text token before every text.

    Returns:
        a `PreTrainedTokenizerFast`.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    first, pad = "<s>", "<pad>"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocab, special_tokens=[pad, first], initial_alphabet=alphabet, show_progress=False
        ),
    )
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{first} $A", special_tokens=[(first, tokenizer.token_to_id(first))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=first, eos_token=first, pad_token=pad
    )


def _build_language(entry: ModelEntry, folder: Path, texts: list[str]) -> dict[str, Any]:
    if not texts:
        raise UserError(f"{entry.where}: no words to train its tokenizer on; name stories")
    tokenizer = train_tokenizer(texts, entry.vocab or 1024, (entry.build or {}).get("bos", True))
    tokenizer.save_pretrained(folder)
    return {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _build_extractor(entry: ModelEntry, folder: Path) -> dict[str, Any]:
    import transformers

    settings = dict((entry.build or {}).get("feature_extractor") or {})
    name = settings.pop("class", "Wav2Vec2FeatureExtractor")
    if not hasattr(transformers, name):
        raise UserError(f"{entry.where}: transformers has no {name}; check its name")
    getattr(transformers, name)(**settings).save_pretrained(folder)
    return {}


def build_model(entry: ModelEntry, folder: Path, texts: Iterable[str]) -> None:
    """Build the entry's model with random weights and save it, with its tokenizer or feature extractor.

    The same seed gives the same bytes.

    Args:
        folder: where it goes, in the format that `from_pretrained` reads.
        texts: what a language model's tokenizer is trained on.

    Raises:
        UserError: the architecture is impossible, or there are no texts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if entry.modality == "language":
        tokens = _build_language(entry, folder, list(texts))
    else:
        tokens = _build_extractor(entry, folder)
    config = config_of(entry, **tokens)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed((entry.build or {}).get("seed", entry.seed))
        model = model_class(entry)(config).eval()
        # Biases start at 0, and a front end that normalises without them hears no loudness.
        for name, values in model.named_parameters():
            if name.endswith("bias"):
                values.data.add_(torch.randn_like(values), alpha=(entry.build or {}).get("bias_std", 0.0))
    model.save_pretrained(folder)
