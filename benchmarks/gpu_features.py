"""Features on a GPU: stories through language models, sound through speech encoders, weights random."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_record import Record, attempt, peak_gb, timed

from voxscale.overlap import finish_behind, prepare_ahead

STORY_TRS, TR_S, WORDS_PER_S = 360, 2.0, 2.5
TEXT = {  # width, layers, heads, width of the MLP
    "opt-125m": (768, 12, 12, 3072),
    "opt-1.3b": (2048, 24, 32, 8192),
    "opt-6.7b": (4096, 32, 32, 16384),
}
VOCABULARY = 50272


def words(n: int) -> list[str]:
    """Made-up words of one to three syllables."""
    random = np.random.default_rng(0)
    parts = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
    return ["".join(random.choice(parts, random.integers(1, 4))) for _ in range(n)]


def untrained(name: str, folder: str, n_layers: int) -> dict[str, Any]:
    """Card of a model of random weights, which needs no file of weights."""
    return {"model": name, "path": folder, "n_layers": n_layers, "untrained": True, "seed": 0}


def run_stories(network: Any, stories: Sequence[Any], folder: str, together: bool = True) -> None:
    """As a job does it: the next stories prepared, the last ones written, during the passes of some.

    Args:
        together: whether stories share batches; else each has its own.
    """
    from voxscale.features.store import write_features

    by_name = {story.name: story for story in stories}
    groups = network.groups({name: len(story.words) for name, story in by_name.items()})
    groups = groups if together else [[name] for name in by_name]
    ready = prepare_ahead(groups, lambda group: [network.prepare(by_name[name]) for name in group])
    made = (
        layers
        for group, prepared in ready
        for layers, _ in network.features([by_name[name] for name in group], prepared)
    )
    finish_behind(made, lambda layers: write_features(Path(folder) / "story.h5", layers, {}))


def one_text(record: Record, device: torch.device, name: str, dtype: str, small: bool) -> None:
    """One language model in one dtype."""
    import transformers

    from voxscale.features.language_model import LanguageModel, StoryWords
    from voxscale.models.build import train_tokenizer

    n = 300 if small else round(STORY_TRS * TR_S * WORDS_PER_S)
    clock = np.arange(STORY_TRS) * TR_S + 1
    stories = [
        StoryWords(f"story{i}", words(n)[i:], np.arange(n - i) / WORDS_PER_S, clock)
        for i in range(2 if small else 6)
    ]
    width, layers, heads, inner = (64, 2, 4, 128) if small else TEXT[name]
    with tempfile.TemporaryDirectory() as folder:
        transformers.OPTConfig(
            hidden_size=width,
            word_embed_proj_dim=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            ffn_dim=inner,
            vocab_size=VOCABULARY,
            architectures=["OPTForCausalLM"],
        ).save_pretrained(folder)
        train_tokenizer([" ".join(stories[0].words)], 1040).save_pretrained(folder)
        settings = {
            "unit": "words",
            "max_context": 512,
            "restart_at": 256,
            "token_budget": "auto",
            "bits_per_character": True,
            "device": str(device),
            "dtype": dtype,
            "device_map": None,
        }
        with torch.device(device):  # a card draws random weights faster
            network = LanguageModel(untrained(name, folder, layers), settings, None, folder)
        run_stories(network, stories[:1], folder)
        peak_gb(device)
        taken, _ = timed(device, lambda: run_stories(network, stories, folder))
        alone, _ = timed(device, lambda: run_stories(network, stories, folder, together=False))
        preparing, prepared = timed(device, lambda: network.prepare(stories[0]))
        passing, _ = timed(device, lambda: network.features(stories[:1], [prepared]))
        tokens = sum(len(one.ids) for one in prepared[0].passes) * len(stories)
        size = sum(p.numel() for p in network.model.parameters())
        record.add(
            "text",
            f"{name} {dtype}, {len(stories)} stories of {n} words",
            seconds_a_story=taken / len(stories),
            seconds_a_story_alone=alone / len(stories),
            tokens_per_s=tokens / taken,
            tflops=2 * size * tokens / taken / 1e12,
            preparing=preparing,
            passing=passing,
            peak_gb=peak_gb(device),
        )


def text(record: Record, device: torch.device, small: bool) -> None:
    """Stories through language models of random weights."""
    for name in TEXT:
        for dtype in ("float32",) if small else ("float16", "bfloat16"):
            attempt(
                record,
                "text",
                f"{name} {dtype}",
                lambda n=name, d=dtype: one_text(record, device, n, d, small),
            )


SPEECH = {"hubert-xlarge": (1280, 48, 16, 5120), "whisper-large": (1280, 32, 20, 5120)}


def save_speech(name: str, folder: str, width: int, layers: int, heads: int, inner: int) -> None:
    """Configuration and feature extractor of a speech encoder."""
    import transformers

    if name.startswith("hubert"):
        transformers.HubertConfig(
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=inner,
            do_stable_layer_norm=True,
            feat_extract_norm="layer",
            conv_bias=True,
        ).save_pretrained(folder)
        transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
        return
    transformers.WhisperConfig(
        d_model=width,
        encoder_layers=layers,
        encoder_attention_heads=heads,
        encoder_ffn_dim=inner,
        decoder_layers=1,
        decoder_attention_heads=heads,
        decoder_ffn_dim=inner,
    ).save_pretrained(folder)
    transformers.WhisperFeatureExtractor().save_pretrained(folder)


def one_speech(
    record: Record, device: torch.device, name: str, dtype: str, small: bool, states: dict[str, np.ndarray]
) -> None:
    """One speech encoder in one dtype; `states` keeps what it gave."""
    from voxscale.features.speech_encoder import SpeechEncoder
    from voxscale.features.speech_windows import SoundWindows, slide_windows

    window_s, stride_s, seconds = (4.1, 1.0, 12) if small else (16.1, 0.1, 30)
    width, layers, heads, inner = (32, 2, 2, 64) if small else SPEECH[name]
    sound = np.random.default_rng(0).normal(0, 0.1, seconds * 16000).astype(np.float32)
    settings = {
        "window_s": window_s,
        "stride_s": stride_s,
        "device": str(device),
        "dtype": dtype,
        "device_map": None,
    }
    with tempfile.TemporaryDirectory() as folder:
        save_speech(name, folder, width, layers, heads, inner)
        with torch.device(device):
            encoder = SpeechEncoder(untrained(name, folder, layers), settings, None, folder)
        every = slide_windows(len(sound), window_s, stride_s, encoder.minimum)
        # A story's first windows, shorter and passed one by one, are left out: a long story has no more.
        whole = every.stop - every.start == max(every.stop - every.start)
        windows, clock = (
            SoundWindows(every.start[whole], every.stop[whole]),
            np.arange(seconds / TR_S) * TR_S + 1,
        )
        batch = encoder.batch_size()
        encoder.features(sound, SoundWindows(windows.start[:batch], windows.stop[:batch]), clock, batch)
        peak_gb(device)
        taken, found = timed(device, lambda: encoder.features(sound, windows, clock, batch))
        size = sum(p.numel() for p in encoder.model.parameters())
        frames = 1500 if name.startswith("whisper") else 50 * window_s
        states[dtype] = np.concatenate([values.ravel() for values in found.values()])
        off = states[dtype] - states["float32"]
        record.add(
            "speech",
            f"{name} {dtype}, {len(windows)} windows",
            windows_per_s=len(windows) / taken,
            tflops=2 * size * frames * len(windows) / taken / 1e12,
            batch=batch,
            parameters=size,
            off_float32=float(np.linalg.norm(off) / np.linalg.norm(states["float32"])),
            peak_gb=peak_gb(device),
        )


def speech(record: Record, device: torch.device, small: bool) -> None:
    """Sound through speech encoders of random weights, at the default window and stride."""
    for name in SPEECH:
        states: dict[str, np.ndarray] = {}
        for dtype in ("float32", "bfloat16") if small else ("float32", "float16", "bfloat16"):
            attempt(
                record,
                "speech",
                f"{name} {dtype}",
                lambda n=name, d=dtype, kept=states: one_speech(record, device, n, d, small, kept),
            )
