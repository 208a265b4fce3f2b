"""The last frame of an encoder is that of the last sound, or the encoder is refused."""

import numpy as np
import pytest
import torch
import transformers
from tiny_speech import SETTINGS, make_cards, noise

from voxscale.errors import UserError
from voxscale.features.speech_encoder import SpeechEncoder

PARAKEET = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 32,
    "subsampling_conv_channels": 8,
    "num_mel_bins": 16,
    "dropout": 0.0,
}
AST = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def save(folder, cls, extractor, config):
    torch.manual_seed(0)
    model_class = getattr(transformers, cls)
    model = model_class(model_class.config_class(**config))
    for values in model.parameters():
        values.data.mul_(5)  # a new model's frames hardly differ
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return {"model": cls, "path": str(folder), "n_layers": 2, "width": 16, "weights_id": cls}


@torch.inference_mode()
def test_the_last_frame_is_the_same_whatever_sound_goes_along(tmp_path):
    """Of a front end with a stride of 8, also where that divides the number of frames (every 80 ms)."""
    extractor = transformers.ParakeetFeatureExtractor(feature_size=16)
    card = save(tmp_path, "ParakeetEncoder", extractor, PARAKEET)
    encoder = SpeechEncoder(card, SETTINGS | {"window_s": 4.0}, [0, 1, 2])
    sound = noise(4.0)
    for samples in (8000, 30720, 30880, 32000, 32160):
        values, arguments, mask = encoder._inputs([sound[:samples], sound])
        own = encoder.model._get_output_attention_mask(mask)[0]
        assert int(encoder._last(mask, len(own))[0]) == int(own.sum()) - 1
        alone = encoder([sound[:samples]])[0]
        np.testing.assert_allclose(encoder._last_frames(values, arguments, mask)[0], alone, atol=1e-4)


def test_an_encoder_that_pads_without_saying_so_is_refused(tmp_path):
    extractor = transformers.ASTFeatureExtractor(max_length=128, num_mel_bins=32)
    card = save(tmp_path, "ASTModel", extractor, AST | {"max_length": 128, "num_mel_bins": 32})
    with pytest.raises(
        UserError, match="ASTModel: its feature extractor does not say which frames are padding"
    ):
        SpeechEncoder(card, SETTINGS)


def test_a_last_frame_that_is_not_that_of_the_last_sound_is_refused(tmp_path, monkeypatch):
    card = make_cards(lambda name: tmp_path / name, ["hubert-layer-norm"])["hubert-layer-norm"]
    monkeypatch.setattr(SpeechEncoder, "_last", lambda *_: torch.tensor([2]))
    with pytest.raises(UserError, match="the end of a sound does not change its last frame"):
        SpeechEncoder(card, SETTINGS)
