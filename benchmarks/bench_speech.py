"""Speech features: ours against one window at a time. (bench_precision.py: what the options change.)"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(Path(__file__).parent)]

import measures
import sections
import yaml

from voxscale.dataset import PROSE
from voxscale.features import sound
from voxscale.features import store as feature_store
from voxscale.features.sound import RATE
from voxscale.features.speech_encoder import SpeechEncoder
from voxscale.features.speech_windows import slide_windows
from voxscale.models.build import build_model
from voxscale.models.loading import load_model
from voxscale.models.registry import MODELS, load_registry
from voxscale.phantom import prose, speech

WINDOW_S, STRIDE_S, WINDOWS = 16.1, 0.1, 4
STORY, STORY_STRIDE_S = "nightbaker", 8.0
EXTRACTORS = {
    "hubert-base": {"class": "Wav2Vec2FeatureExtractor", "do_normalize": True},
    "whisper-base": {"class": "WhisperFeatureExtractor"},
}
SETTINGS = {
    "window_s": WINDOW_S,
    "stride_s": STRIDE_S,
    "dtype": "float32",
    "device": "auto",
    "device_map": None,
}
WAYS = {
    "alone": "one window at a time, all states kept",
    "together": "all four in one batch",
    "ours": "ours, float32",
    "ours-bfloat16": "ours, bfloat16",
}


def make_card(slug: str, folder: Path, **extractor: Any) -> dict[str, Any]:
    """A published model with random weights, built in the hub's format."""
    entry = load_registry(yaml.safe_load(MODELS.read_text()))[slug]
    made = dict(entry.build or {"seed": 0, "feature_extractor": EXTRACTORS.get(slug)})
    made["feature_extractor"] = {**made["feature_extractor"], **extractor}
    path = folder / f"{slug}-{len(extractor)}"
    if not path.exists():
        build_model(replace(entry, hub=None, build=made), path, [])
    return {"model": slug, "path": str(path), "n_layers": entry.n_layers, "width": entry.width}


def spoken(name: str, seconds: float | None = None) -> np.ndarray:
    """A story of the phantom, or its first seconds, spoken by the synthesiser: float32 at 16 kHz."""
    text = prose.read_prose(PROSE, [name])[name]
    spoken = speech.speak(text, name).sound.astype(np.float32) / 32768
    return spoken if seconds is None else spoken[: round(seconds * RATE)]


def plain(card: Mapping[str, Any]) -> tuple[Any, Any]:
    """Feature extractor and encoder as transformers loads them, unchanged, in float32."""
    from transformers import AutoFeatureExtractor, AutoModel

    model = load_model(card, AutoModel, {"device": "auto", "dtype": "float32"})
    encoder = model.get_encoder() if model.config.is_encoder_decoder else model
    return AutoFeatureExtractor.from_pretrained(card["path"]), encoder


@torch.inference_mode()
def literal(extractor: Any, model: Any, windows: list[np.ndarray], size: int) -> np.ndarray:
    """Pass `size` windows at a time through feature extractor and model, keeping all states of all frames."""
    frames = []
    for i in range(0, len(windows), size):
        made = extractor(windows[i : i + size], sampling_rate=RATE, return_tensors="pt")
        values = made[extractor.model_input_names[0]].to(model.device)
        states = model(values, output_hidden_states=True).hidden_states
        frames.append(np.stack([state.float().cpu().numpy() for state in states], 1))
    return np.concatenate(frames)


def literal_flops(extractor: Any, model: Any, window: np.ndarray) -> float:
    """Number of flops of the matrix products and convolutions of one window."""
    values = extractor([window], sampling_rate=RATE, return_tensors="pt")[extractor.model_input_names[0]]
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:  # only this kind of attention is counted
        model(values.to(model.device))
    return counter.get_total_flops()


class Bench:
    """Four windows of one model in every way."""

    def __init__(self, slug: str, folder: Path) -> None:
        self.sound = spoken(STORY, WINDOW_S + STRIDE_S * (WINDOWS - 1))
        full = slide_windows(len(self.sound), WINDOW_S, STRIDE_S)
        self.start, self.stop = full.start[-WINDOWS:], full.stop[-WINDOWS:]
        self.windows = [self.sound[a:b] for a, b in zip(self.start, self.stop, strict=True)]
        self.card = make_card(slug, folder)
        self.extractor, self.untouched = plain(self.card)
        self.encoders = {
            "ours": SpeechEncoder(self.card, SETTINGS),
            "ours-bfloat16": SpeechEncoder(self.card, SETTINGS | {"dtype": "bfloat16"}),
        }
        self.sizes = {"alone": 1, "together": WINDOWS}

    def measure(self) -> None:
        """Find our batch sizes."""
        self.sizes |= {way: encoder.batch_size() for way, encoder in self.encoders.items()}

    def run(self, way: str) -> None:
        """Pass the four windows."""
        if way not in self.encoders:
            literal(self.extractor, self.untouched, self.windows, self.sizes[way])
            return
        read, size = self.encoders[way].reader(self.sound), self.sizes.get(way, 1)
        for i in range(0, WINDOWS, size):
            read(self.start[i : i + size], self.stop[i : i + size])

    def frames(self) -> int:
        """Frames that the encoder makes of one window, padding included."""
        values = self.extractor([self.windows[0]], sampling_rate=RATE, return_tensors="pt")
        with torch.inference_mode():
            return self.untouched(values[self.extractor.model_input_names[0]])[0].shape[1]


def end_to_end(encoder: SpeechEncoder, wav: Path, batch: int, folder: Path) -> tuple[int, float]:
    """A whole story from its sound file to its features' file; the number of windows and the seconds."""
    begun = time.perf_counter()
    samples = sound.read_sound(wav)
    windows = slide_windows(len(samples), WINDOW_S, STORY_STRIDE_S, encoder.minimum)
    clock = np.arange(0, len(samples) / RATE, 2.0) + 1
    layers = encoder.features(samples, windows, clock, batch)
    feature_store.write_features(folder / "story.h5", layers, {})
    return len(windows), time.perf_counter() - begun


def speed(folder: Path, repeats: int) -> tuple[str, str]:
    """Tables of four windows, the ways alternating, and of a whole story."""
    rows = [
        "| model | way | together | seconds | frames/s | against one at a time | share of GEMM peak "
        "| memory added, GB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    whole = [
        "| model | way | windows | seconds | windows/s | against one at a time (extrapolated) |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    story, wav = spoken(STORY), folder / "story.wav"
    soundfile.write(wav, story, RATE)
    for slug in EXTRACTORS:
        bench = Bench(slug, folder)
        bench.measure()
        flops = WINDOWS * literal_flops(bench.extractor, bench.untouched, bench.windows[0])
        frames = WINDOWS * bench.frames()
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        gemm: dict[torch.dtype, list[float]] = {torch.float32: [], torch.bfloat16: []}
        for _ in range(repeats + 1):  # the first round warms up
            for way, found in seconds.items():
                found.append(sections.seconds(lambda way=way, bench=bench: bench.run(way)))
            for dtype, found in gemm.items():
                found.append(measures.gemm_peak(dtype))
        peaks = {dtype: statistics.median(found[1:]) for dtype, found in gemm.items()}
        medians = {way: statistics.median(found[1:]) for way, found in seconds.items()}
        for way, name in WAYS.items():
            share = flops / medians[way] / peaks[torch.bfloat16 if "bfloat16" in way else torch.float32]
            memory = measures.added_alone(__file__, f"{slug} {way}", folder)
            rows.append(
                f"| {slug} | {name} | {bench.sizes[way]} | {medians[way]:.2f} | {frames / medians[way]:.0f} "
                f"| {medians['alone'] / medians[way]:.2f}x | {share:.0%} | {memory:.2f} |"
            )
            print(rows[-1], flush=True)
        for way, encoder in bench.encoders.items():
            count, spent = end_to_end(encoder, wav, bench.sizes[way], folder)
            gain = medians["alone"] / WINDOWS * count / spent
            rate = count / spent
            whole.append(f"| {slug} | {WAYS[way]} | {count} | {spent:.1f} | {rate:.2f} | {gain:.2f}x |")
            print(whole[-1], flush=True)
    return "\n".join(rows), "\n".join(whole)


def run_peak(what: str, folder: Path) -> None:
    """Print the memory that one implementation adds to a process with the models loaded."""
    slug, way = what.split()
    bench = Bench(slug, folder)
    print(measures.added(lambda: bench.run(way)))


def main(argv: list[str] | None = None) -> None:
    """Measure, and write the section `speech` of docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="keep the built models here")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.peak:
        run_peak(options.peak, options.folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        windows, story = speed(options.folder or Path(temporary), options.repeats)
    sections.write(
        "bench-features: speech",
        f"""### Speech

{sections.machine()}

{WINDOWS} windows of {WINDOW_S} s, {STRIDE_S} s apart, all layers, models of these shapes with random weights.
Medians of {options.repeats} rounds in which the ways alternate. Ours passes together as many windows as it
measured to be fastest, and keeps only the last valid frame. Frames are all that the encoder makes, Whisper's
padding to 30 s included. The share counts matrix products and convolutions, of the peak (2048 cubed) of the
pass's own precision.

{windows}

A whole story ({len(spoken(STORY)) / RATE:.0f} s) from sound file to written features, one window every
{STORY_STRIDE_S:g} s (a window costs the same at any stride, but where the front end is shared), once:

{story}
""",
    )


if __name__ == "__main__":
    main()
