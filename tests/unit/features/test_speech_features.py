"""Speech features against a literal run of one window at a time, for each kind of encoder."""

import functools

import numpy as np
import pytest
import soundfile
import torch
import transformers
from tiny_models import registry
from tiny_speech import MODELS, SETTINGS, make_cards, noise

from voxscale.features import sound, speech_encoder
from voxscale.features.sound import RATE
from voxscale.features.speech_windows import slide_windows
from voxscale.timeseries import lanczos_resample


@pytest.fixture(scope="module")
def cards(tmp_path_factory):
    return make_cards(tmp_path_factory.mktemp)


@functools.cache
def literal_model(path):
    extractor = transformers.AutoFeatureExtractor.from_pretrained(path)
    return extractor, transformers.AutoModel.from_pretrained(path).eval()


def literal_frame(card, window):
    """(layers, width): a window by itself through the model as transformers' own pages run it."""
    extractor, model = literal_model(card["path"])
    inputs = extractor(window, sampling_rate=RATE, return_tensors="pt")
    last = -1
    if card["model"] == "whisper":
        model = model.get_encoder()
        frames = -(-len(window) // 160)  # spectrogram frames centred on sound
        last = (frames - 1) // 2  # the second convolution takes every other one, from the first on
    return literal_states(model, inputs[extractor.model_input_names[0]], last).numpy()


def literal_states(model, values, last=-1):
    """(layers, width): one frame at each layer; what leaves the encoder is the last one."""
    with torch.no_grad():
        output = model(values, output_hidden_states=True)
    return torch.stack([x[0, last] for x in (*output.hidden_states[:-1], output.last_hidden_state)])


def test_every_class_of_the_list_is_compared_with_single_windows():
    """A class counts with its kind of norm and the place of its layer norms, where it has a choice."""

    def kind(cls, config):
        defaults = getattr(transformers, cls).config_class()
        choices = ("feat_extract_norm", "do_stable_layer_norm")
        return cls, *(config.get(key, getattr(defaults, key, None)) for key in choices)

    listed = {kind(e.model_class, e.config) for e in registry().values() if e.modality == "speech"}
    assert listed <= {kind(cls, config) for cls, config, *_ in MODELS.values()}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("batch", [1, 3])
def test_equals_one_window_at_a_time(cards, name, batch):
    x = noise(1.75)
    encoder = speech_encoder.SpeechEncoder(cards[name], SETTINGS)
    assert encoder.shares_front_end == MODELS[name][3]
    assert encoder.model.config._attn_implementation == "sdpa" or not encoder.model._supports_sdpa
    windows = slide_windows(len(x), 1.0, 0.1, encoder.minimum)
    clock = np.arange(-2.0, 4.0, 0.5)
    assert [(a, b) for a, b in zip(windows.start, windows.stop, strict=True)] == [
        (max(0, 1600 * (i + 1) - RATE), 1600 * (i + 1)) for i in range(17)
    ]
    frames = np.stack(
        [literal_frame(cards[name], x[a:b]) for a, b in zip(windows.start, windows.stop, strict=True)]
    )  # (windows, layers, width)
    read = encoder.reader(x)
    ours = np.concatenate(
        [read(windows.start[g], windows.stop[g]) for g in windows.batches(batch, name == "whisper")]
    )
    np.testing.assert_allclose(ours, frames, atol=1e-4)
    assert frames[:, 0].std(0).mean() > 1e-2  # the comparison is of something
    features = encoder.features(x, windows, clock, batch)
    for layer in range(3):
        expected = lanczos_resample(frames[:, layer].astype("f8"), windows.times, clock)
        np.testing.assert_allclose(features[layer], expected, atol=1e-3)


@pytest.mark.parametrize("name", MODELS)
def test_causal(cards, name):
    x, other = noise(1.6), noise(1.6, seed=1)
    changed = np.concatenate([x[:19200], other[19200:]])
    encoder = speech_encoder.SpeechEncoder(cards[name], SETTINGS)
    stop = np.array([19200, 20800])
    before, after = (encoder.reader(sound)(stop - RATE, stop) for sound in (x, changed))
    np.testing.assert_array_equal(before[0], after[0])
    assert np.abs(before[1] - after[1]).max() > 1e-3


def test_a_front_end_for_the_whole_story_differs_only_in_its_normalisation(cards):
    x = noise(1.75) + np.float32(0.05)
    stop = np.array([4800, 16000, 27200])
    start = np.maximum(stop - RATE, 0)
    encoder = speech_encoder.SpeechEncoder(cards["hubert-normalised"], SETTINGS | {"front_end": "story"})
    assert encoder.shares_front_end
    ours = np.concatenate([encoder.reader(x)(start[i : i + 1], stop[i : i + 1]) for i in range(3)])
    _, model = literal_model(cards["hubert-normalised"]["path"])
    whole = torch.from_numpy((x - x.mean()) / x.std())
    literal = [literal_states(model, whole[None, a:b]) for a, b in zip(start, stop, strict=True)]
    np.testing.assert_allclose(ours, torch.stack(literal), atol=1e-4)
    # A group norm runs over the time of each window; it is never shared.
    assert not speech_encoder.SpeechEncoder(
        cards["hubert"], SETTINGS | {"front_end": "story"}
    ).shares_front_end


@pytest.mark.parametrize("name", ["hubert-layer-norm", "wavlm-layer-norm", "wav2vec2"])
def test_the_last_layer_of_every_architecture_has_passed_the_final_norm(cards, name):
    encoder = speech_encoder.SpeechEncoder(cards[name], SETTINGS, [2])
    norm = encoder.model.encoder.layer_norm
    seen = []
    handle = norm.register_forward_hook(lambda _, __, normed: seen.append(normed))
    last = encoder([noise(1.0)])[0, 0]
    handle.remove()
    assert np.array_equal(last, seen[-1][0, -1].numpy())


def test_only_the_layers_asked_for(cards):
    x = noise(1.2)
    stop = np.array([16000, 17600])
    every = speech_encoder.SpeechEncoder(cards["wavlm"], SETTINGS).reader(x)(stop - RATE, stop)
    some = speech_encoder.SpeechEncoder(cards["wavlm"], SETTINGS, [0, 2]).reader(x)(stop - RATE, stop)
    np.testing.assert_allclose(some, every[:, [0, 2]], atol=1e-6)


@pytest.mark.parametrize("samples", [400, 481, 16000, 16001, 31999, 32000])
def test_whisper_reads_the_last_frame_with_sound_in_it(cards, samples):
    """Push the mask of samples through spectrogram and convolutions, as literally as can be."""
    encoder = speech_encoder.SpeechEncoder(cards["whisper"], SETTINGS)
    valid = np.arange(32000) < samples
    mel = valid[::160]  # a frame is centred on its hop's first sample
    last = np.flatnonzero(mel[::2])[-1]  # first convolution: stride 1; second: stride 2; both centred
    window = noise(2.0)[:samples]
    values, _, mask = encoder._inputs([window])
    assert speech_encoder.last_valid(encoder.model, mask.sum(-1), mask.shape[-1], 100).item() == last
    with torch.no_grad():
        states = encoder.model(values, output_hidden_states=True).hidden_states
    ours = encoder([window])
    np.testing.assert_allclose(ours[0], torch.stack([s[0, last] for s in states]), atol=1e-5)
    if samples <= 16000:  # the padding's frames are others, and there are many
        assert np.abs(ours[0] - torch.stack([s[0, -1] for s in states]).numpy()).max() > 0.05


def test_windows_of_other_lengths_never_share_a_batch():
    windows = slide_windows(3 * RATE, 1.0, 0.25)
    for group in windows.batches(5):
        assert len(set((windows.stop - windows.start)[group])) == 1
    assert sorted(np.concatenate(list(windows.batches(5)))) == list(range(12))
    assert [len(group) for group in windows.batches(5)] == [1, 1, 1, 5, 4]
    assert [len(group) for group in windows.batches(5, any_length=True)] == [5, 5, 2]


def test_window_ends_keep_to_the_stride():
    windows = slide_windows(RATE, 0.5, 1 / 30)
    np.testing.assert_allclose(windows.times, np.arange(1, 31) / 30, atol=1 / RATE)
    assert slide_windows(RATE, 0.5, 0.01).stop[0] == 480  # 160 and 320 samples are under one frame
    assert slide_windows(399 + 1, 0.5, 0.025).stop.tolist() == [400]
    for n, stride in ((399, 0.025), (0, 0.1)):
        with pytest.raises(ValueError, match="has no window of 400 samples"):
            slide_windows(n, 0.5, stride)


def test_any_rate_and_number_of_channels(tmp_path):
    t = np.arange(44100) / 44100
    left, right = np.sin(2 * np.pi * 200 * t), np.sin(2 * np.pi * 600 * t)
    soundfile.write(tmp_path / "x.flac", np.stack([left, right], 1) * 0.9, 44100)
    out = sound.read_sound(tmp_path / "x.flac")
    assert out.dtype == np.float32
    assert out.shape == (RATE,)
    s = np.arange(RATE) / RATE
    expected = 0.45 * (np.sin(2 * np.pi * 200 * s) + np.sin(2 * np.pi * 600 * s))
    np.testing.assert_allclose(out[200:-200], expected[200:-200], atol=2e-3)
