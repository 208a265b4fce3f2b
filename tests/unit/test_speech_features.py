"""Speech features against a literal run of one window at a time, for each kind of encoder."""

import functools
import json
import shutil

import numpy as np
import pytest
import soundfile
import torch
import transformers
from tiny_models import registry

from voxscale import feature_store, lanczos, sound, speech_encoder, speech_features, tables
from voxscale.errors import UserError
from voxscale.sound import RATE
from voxscale.speech_windows import sliding

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


@pytest.fixture(scope="module")
def cards(tmp_path_factory):
    """Cards of tiny models with random weights, biases too, in the hub's format."""
    found = {}
    for name, (cls, config, normalise, _) in MODELS.items():
        folder = tmp_path_factory.mktemp(name)
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
    with torch.no_grad():
        states = model(inputs[extractor.model_input_names[0]], output_hidden_states=True).hidden_states
    return torch.stack([state[0, last] for state in states]).numpy()


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
    windows = sliding(len(x), 1.0, 0.1, encoder.minimum)
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
        expected = lanczos.interpolate(frames[:, layer].astype("f8"), windows.times, clock)
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
    with torch.no_grad():
        literal = [
            torch.stack([h[0, -1] for h in model(whole[None, a:b], output_hidden_states=True).hidden_states])
            for a, b in zip(start, stop, strict=True)
        ]
    np.testing.assert_allclose(ours, torch.stack(literal), atol=1e-4)
    # A group norm runs over the time of each window; it is never shared.
    assert not speech_encoder.SpeechEncoder(
        cards["hubert"], SETTINGS | {"front_end": "story"}
    ).shares_front_end


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
    assert speech_encoder.last_valid(mask.sum(-1), mask.shape[-1], 100).item() == last
    with torch.no_grad():
        states = encoder.model(values, output_hidden_states=True).hidden_states
    ours = encoder([window])
    np.testing.assert_allclose(ours[0], torch.stack([s[0, last] for s in states]), atol=1e-5)
    if samples <= 16000:  # the padding's frames are others, and there are many
        assert np.abs(ours[0] - torch.stack([s[0, -1] for s in states]).numpy()).max() > 0.05


def test_windows_of_other_lengths_never_share_a_batch():
    windows = sliding(3 * RATE, 1.0, 0.25)
    for group in windows.batches(5):
        assert len(set((windows.stop - windows.start)[group])) == 1
    assert sorted(np.concatenate(list(windows.batches(5)))) == list(range(12))
    assert [len(group) for group in windows.batches(5)] == [1, 1, 1, 5, 4]
    assert [len(group) for group in windows.batches(5, any_length=True)] == [5, 5, 2]


def test_window_ends_keep_to_the_stride():
    windows = sliding(RATE, 0.5, 1 / 30)
    np.testing.assert_allclose(windows.times, np.arange(1, 31) / 30, atol=1 / RATE)
    assert sliding(RATE, 0.5, 0.01).stop[0] == 480  # 160 and 320 samples are under one frame
    assert sliding(399 + 1, 0.5, 0.025).stop.tolist() == [400]
    for n, stride in ((399, 0.025), (0, 0.1)):
        with pytest.raises(UserError, match="has no window of 400 samples"):
            sliding(n, 0.5, stride)


@pytest.fixture
def story(tmp_path):
    onset = 2.0 * (np.arange(8) - 2)
    columns = {"story": ["s"] * 8, "row": np.arange(8), "onset_s": onset, "mid_s": onset + 1}
    tables.write("clock", columns | {"in_response": [True] * 8}, tmp_path / "clock.parquet")
    return tmp_path


def run(folder, card, stories, settings=(), layers=None):
    speech_features.extract(
        f"{card['path']}/card.json",
        {name: (path, folder / "clock.parquet") for name, path in stories.items()},
        folder / "features.h5",
        folder / "store",
        SETTINGS | {"on_disk": "float32", "stride_s": 0.5} | dict(settings),
        layers,
    )
    return folder / "features.h5"


def wavs(folder, *names, seconds=4.0):
    for i, name in enumerate(names):
        soundfile.write(folder / f"{name}.wav", noise(seconds, i), RATE)
    return {name: folder / f"{name}.wav" for name in names}


@pytest.fixture
def passes(monkeypatch):
    """Names of the stories that the model was run on."""
    seen = []
    features = speech_encoder.SpeechEncoder.features

    def counted(self, samples, windows, clock, batch, what="windows"):
        seen.append(what.split()[1])
        return features(self, samples, windows, clock, batch, what)

    monkeypatch.setattr(speech_encoder.SpeechEncoder, "features", counted)
    return seen


def test_stories_that_are_there_cost_no_pass(story, cards, passes):
    card = cards["data2vec"]
    stories = wavs(story, "a", "b")
    index = run(story, card, stories, layers=[1])
    assert feature_store.layers(index) == [1]
    assert feature_store.shape(index, "a", 1) == (8, 16)
    first = feature_store.links(index)
    assert passes == ["a", "b"]
    run(story, card, stories, layers=[1])
    assert passes == ["a", "b"]
    run(story, card, stories | wavs(story, "c"), layers=[1])
    assert passes == ["a", "b", "c"]
    run(story, card, {"a": stories["a"]}, layers=[2])  # another layer keeps those that are there
    assert feature_store.layers(index) == [1, 2]
    assert feature_store.links(index)["a"] == first["a"]
    for change in ({"window_s": 0.5}, {"stride_s": 0.25}, {"dtype": "bfloat16"}, {"on_disk": "float16"}):
        changed = feature_store.links(run(story, card, {"a": stories["a"]}, change))["a"]
        assert changed != first["a"]
    soundfile.write(stories["a"], noise(4.0, 9), RATE)
    assert feature_store.links(run(story, card, {"a": stories["a"]}))["a"] != first["a"]


@pytest.mark.parametrize("what", ["weights", "front_end", "window_s", "sound", "clock", "dtype", "code"])
def test_a_stale_file_is_never_served(story, cards, passes, what, monkeypatch):
    card, stories, settings = cards["hubert-normalised"], wavs(story, "a"), {}
    old = feature_store.links(run(story, card, stories))["a"]
    if what == "weights":
        other = story / "other"
        shutil.copytree(card["path"], other)
        card = {**card, "path": str(other), "weights_id": "another revision"}
        (other / "card.json").write_text(json.dumps(card))
    elif what == "sound":
        soundfile.write(stories["a"], noise(4.0, 9), RATE)
    elif what == "clock":
        clock = tables.read("clock", story / "clock.parquet")
        late = {name: clock[name] for name in clock.column_names}
        late["mid_s"] = late["mid_s"].to_numpy() + 0.1
        tables.write("clock", late, story / "clock.parquet")
    elif what == "code":
        monkeypatch.setattr(speech_features, "code_hash", lambda name: f"another {name}")
    else:
        settings = {"front_end": {"front_end": "story"}, "window_s": {"window_s": 0.5}}.get(
            what, {"dtype": "bfloat16"}
        )
    assert feature_store.links(run(story, card, stories, settings))["a"] != old
    assert passes == ["a", "a"]


def test_killed_and_resumed_gives_the_same_bytes(story, cards, passes, monkeypatch):
    card = cards["hubert"]
    stories = wavs(story, "a", "b", "c")
    last_frames = speech_encoder.SpeechEncoder._last_frames

    def killed(self, *args):
        if passes[-1:] == ["b"]:
            raise KeyboardInterrupt
        return last_frames(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(speech_encoder.SpeechEncoder, "_last_frames", killed)
        with pytest.raises(KeyboardInterrupt):
            run(story, card, stories)
    assert not (story / "features.h5").exists()
    assert not list(story.rglob("*.part*"))
    index = run(story, card, stories)
    assert passes == ["a", "b", "b", "c"]
    resumed = {name: path.read_bytes() for name, path in feature_store.links(index).items()}
    for path in feature_store.links(index).values():
        path.unlink()
    run(story, card, stories)
    assert {name: path.read_bytes() for name, path in feature_store.links(index).items()} == resumed


def test_a_resume_at_another_time_keeps_the_batches(story, cards, monkeypatch):
    card, stories = cards["data2vec"], wavs(story, "a", "b")
    sizes, threads = [], torch.get_num_threads()
    last_frames = speech_encoder.SpeechEncoder._last_frames

    def noted(self, values, *args):
        sizes.append(len(values))
        return last_frames(self, values, *args)

    monkeypatch.setattr(speech_encoder.SpeechEncoder, "_last_frames", noted)
    monkeypatch.setattr(speech_encoder.SpeechEncoder, "measure_batch", lambda self: 3)
    run(story, card, {"a": stories["a"]})
    first, sizes[:] = sizes[:], []
    monkeypatch.setattr(speech_encoder.SpeechEncoder, "measure_batch", lambda self: 1)
    torch.set_num_threads(threads + 1)
    try:
        run(story, card, stories)
    finally:
        torch.set_num_threads(threads)
    assert sizes == first
    assert max(sizes) == 3


# As torch says it on a GPU, and on a CPU.
@pytest.mark.parametrize(
    "failure",
    [torch.OutOfMemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to")],
)
def test_out_of_memory_halves_the_batch(story, cards, monkeypatch, capsys, failure):
    card = cards["hubert"]
    stories = wavs(story, "a")
    monkeypatch.setattr(speech_encoder.SpeechEncoder, "measure_batch", lambda self: 4)
    expected = feature_store.read(run(story, card, stories), "a", 2)
    feature_store.links(story / "features.h5")["a"].unlink()
    last_frames = speech_encoder.SpeechEncoder._last_frames

    def small_device(self, values, *args):
        if len(values) > most:
            raise failure
        return last_frames(self, values, *args)

    monkeypatch.setattr(speech_encoder.SpeechEncoder, "_last_frames", small_device)
    most = 2
    np.testing.assert_allclose(feature_store.read(run(story, card, stories), "a", 2), expected, atol=1e-4)
    assert "hubert: out of memory; going on with batches of 2" in capsys.readouterr().err
    feature_store.links(story / "features.h5")["a"].unlink()
    most = 0
    with pytest.raises(
        UserError, match=r"out of memory with one window of 1 s; lower features\.speech\.window_s"
    ):
        run(story, card, stories)


def test_any_rate_and_number_of_channels(tmp_path):
    t = np.arange(44100) / 44100
    left, right = np.sin(2 * np.pi * 200 * t), np.sin(2 * np.pi * 600 * t)
    soundfile.write(tmp_path / "x.flac", np.stack([left, right], 1) * 0.9, 44100)
    out = sound.read(tmp_path / "x.flac")
    assert out.dtype == np.float32
    assert out.shape == (RATE,)
    s = np.arange(RATE) / RATE
    expected = 0.45 * (np.sin(2 * np.pi * 200 * s) + np.sin(2 * np.pi * 600 * s))
    np.testing.assert_allclose(out[200:-200], expected[200:-200], atol=2e-3)


def test_mistakes_are_told_in_one_line(story, cards):
    card = cards["whisper"]
    good = wavs(story, "a")
    with pytest.raises(
        UserError, match=r"window_s: 2\.5 s is longer than the 2 s that whisper takes; lower it"
    ):
        run(story, card, good, {"window_s": 2.5})
    with pytest.raises(UserError, match="whisper: has no layer 3; it has 0 to 2"):
        run(story, card, good, layers=[3])
    bad = story / "bad.wav"
    for content, told in (
        ("<!doctype html><html>", "is an HTML page, not a sound file"),
        ("no sound", "is not a sound file"),
        ("", "is an empty file"),
        ("/annex/objects/MD5E-s1--x.wav", "datalad get"),
    ):
        bad.write_text(content)
        with pytest.raises(UserError, match=told) as caught:
            run(story, card, {"bad": bad})
        assert str(caught.value).startswith(str(bad))
        assert "\n" not in str(caught.value)
    for samples, told in ((np.zeros(0), "holds no sound"), (np.zeros(399), "has no window of 400 samples")):
        soundfile.write(bad, samples, RATE)
        with pytest.raises(UserError, match=rf"bad\.wav: .*{told}"):
            run(story, card, {"bad": bad}, {"stride_s": 0.02})
    soundfile.write(bad, np.array([0.0, np.nan] * 400), RATE, subtype="FLOAT")
    with pytest.raises(UserError, match="samples that are not finite"):
        run(story, card, {"bad": bad})
    with pytest.raises(UserError, match=r"gone\.wav: no such file"):
        run(story, card, {"bad": story / "gone.wav"})
