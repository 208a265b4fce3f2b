"""Memory of windows in speech encoders: what torch allocates, what is priced, what is tried."""

import multiprocessing

import numpy as np
import psutil
import pytest
import torch
import transformers
from tiny_speech import LAYER_NORM, SETTINGS, WHISPER

from voxscale.features.sound import RATE
from voxscale.features.speech_encoder import SpeechEncoder
from voxscale.features.speech_windows import CPU_BATCH_BYTES, LARGEST_BATCH, window_bytes, windows_per_batch
from voxscale.jobs import resources

# The front ends are the published ones.
NARROW = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
LONG = WHISPER | {"d_model": 64, "encoder_ffn_dim": 256, "max_source_positions": 1500, "num_mel_bins": 80}


def allocated(run):
    """Most bytes that torch holds at once while it runs, above what it held before."""
    with (
        torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as seen,
        torch.inference_mode(),
    ):
        run()
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    return max(np.cumsum([e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("cls", "config"),
    [
        ("HubertModel", NARROW),
        ("HubertModel", NARROW | LAYER_NORM),
        ("HubertModel", {"num_hidden_layers": 2} | LAYER_NORM),
        ("WavLMModel", NARROW),
        ("WhisperModel", LONG),
    ],
)
def test_a_window_takes_what_is_said(cls, config, dtype):
    model_class = getattr(transformers, cls)
    model = model_class(model_class.config_class(**config)).to(dtype).eval()
    whole, width = model.config, model.config.hidden_size
    if cls == "WhisperModel":
        model, values = model.get_encoder(), torch.randn(1, 80, 3000, dtype=dtype)
    else:
        values = torch.randn(1, RATE, dtype=dtype)
    taken = allocated(lambda: model(values, output_hidden_states=True))
    assert taken <= window_bytes(config, width, 2, 1.0, dtype.itemsize) <= 3 * taken
    of_model = window_bytes(whole.to_dict(), width, 2, 1.0, dtype.itemsize)
    assert of_model == window_bytes(config, width, 2, 1.0, dtype.itemsize)


def encoder(folder, window_s):
    transformers.HubertModel(transformers.HubertConfig(**NARROW)).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    card = {"model": "narrow", "path": str(folder), "n_layers": 2, "weights_id": "w"}
    return SpeechEncoder(card, SETTINGS | {"window_s": window_s, "device": "cpu"})


@pytest.mark.parametrize("window_s", [0.1, 2.0, 16.1])
def test_a_batch_follows_from_the_size_of_its_windows(tmp_path, window_s):
    size, each = encoder(tmp_path, window_s).batch_size(), window_bytes({}, 32, 2, window_s, 4)
    assert size == windows_per_batch(each)
    assert size == 1 or size * each <= CPU_BATCH_BYTES
    settings = SETTINGS | {"window_s": window_s, "device": "cpu", "on_disk": "float32"}
    priced = resources.extraction("speech", 32, 2, 0, 0, [1], 2.0, settings)
    assert size * each / resources.MB < priced.memory_mb - resources.NETWORK


def grown(folder):
    """Bytes that a process has gained after windows of sixteen lengths."""
    torch.set_num_threads(1)
    process, read = psutil.Process(), encoder(folder, 4.0).reader(np.zeros(4 * RATE, np.float32))
    before = process.memory_info().rss
    for stop in range(RATE // 4, 4 * RATE + 1, RATE // 4):
        read(np.array([0]), np.array([stop]))
    return process.memory_info().rss - before


@pytest.mark.slow
def test_windows_of_many_lengths_leave_about_what_one_takes(tmp_path):
    with multiprocessing.get_context("spawn").Pool(1) as fresh:  # oneDNN reads its settings once
        # 90 to 155 MB of 132 were seen, and without a limit to what it keeps 230 to 520.
        assert fresh.apply(grown, (tmp_path,)) < 1.4 * window_bytes({}, 32, 2, 4.0, 4)


def test_windows_are_counted_between_one_and_the_most():
    assert [windows_per_batch(each) for each in (1, 1.5e7, 1e12)] == [LARGEST_BATCH, 2, 1]
