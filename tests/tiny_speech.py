"""Tiny speech encoders of each kind in the hub's format, and sounds for them."""

import json

import numpy as np
import torch
import transformers

from voxscale.features.sound import RATE

WAVE = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "initializer_range": 0.3,
}
LAYER_NORM = {"feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True}
WHISPER = {
    "d_model": 16,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "num_mel_bins": 12,
    "max_source_positions": 100,
    "init_std": 0.3,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 16,
    "vocab_size": 32,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "decoder_start_token_id": 0,
}
# name -> class, configuration, whether its feature extractor normalises, whether the story is convolved once
MODELS = {
    "hubert": ("HubertModel", WAVE, True, False),
    "hubert-layer-norm": ("HubertModel", WAVE | LAYER_NORM, False, True),
    "hubert-normalised": ("HubertModel", WAVE | LAYER_NORM, True, False),
    "wavlm": ("WavLMModel", WAVE, False, False),
    "wavlm-layer-norm": ("WavLMModel", WAVE | LAYER_NORM, False, True),
    "wav2vec2-group-norm": ("Wav2Vec2Model", WAVE, True, False),
    "wav2vec2": ("Wav2Vec2Model", WAVE | LAYER_NORM, True, False),
    "data2vec": ("Data2VecAudioModel", WAVE, False, True),
    "whisper": ("WhisperModel", WHISPER, False, False),
}
SETTINGS = {"window_s": 1.0, "stride_s": 0.1, "dtype": "float32", "device": "auto", "device_map": None}


def make_cards(mktemp, names=tuple(MODELS)):
    """Cards of tiny models by name, with random weights, biases too; mktemp: name -> new folder."""
    found = {}
    for name in names:
        cls, config, normalise, _ = MODELS[name]
        folder = mktemp(name)
        torch.manual_seed(0)
        model_class = getattr(transformers, cls)
        model = model_class(model_class.config_class(**config))
        for key, values in model.named_parameters():
            if key.endswith("bias"):
                values.data.normal_(0, 0.1)
        model.save_pretrained(folder)
        if name == "whisper":
            transformers.WhisperFeatureExtractor(feature_size=12, chunk_length=2).save_pretrained(folder)
        else:
            transformers.Wav2Vec2FeatureExtractor(do_normalize=normalise).save_pretrained(folder)
        card = {"model": name, "path": str(folder), "n_layers": 2, "width": 16, "weights_id": name}
        (folder / "card.json").write_text(json.dumps(card))
        found[name] = card
    return found


def noise(seconds, seed=0):
    """Noise whose level and colour change, as speech does."""
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE)
    level = np.interp(np.arange(n), np.linspace(0, n, 20), rng.uniform(0.01, 0.3, 20))
    x = rng.standard_normal(n)
    return (
        level * np.where(np.sin(np.arange(n) / 3000) > 0, x, np.convolve(x, np.ones(8) / 3, "same"))
    ).astype("f4")
