"""Speech features: ours against one window at a time. (bench_precision.py: what the options change.)"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(Path(__file__).parent)]

import sections  # noqa: E402
import yaml  # noqa: E402

from voxscale.models.build import build  # noqa: E402
from voxscale.models.loading import load_model, resolve_device  # noqa: E402
from voxscale.models.registry import ModelEntry, load_registry  # noqa: E402
from voxscale.phantom import prose, speech  # noqa: E402
from voxscale.sound import RATE  # noqa: E402
from voxscale.speech_encoder import SpeechEncoder  # noqa: E402
from voxscale.speech_windows import sliding  # noqa: E402

WINDOW_S, STRIDE_S, WINDOWS = 16.1, 0.1, 4
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
    """A model of config/models.yaml with random weights, built in the hub's format."""
    entry = load_registry(yaml.safe_load((ROOT / "config" / "models.yaml").read_text()))[slug]
    made = dict(entry.build or {"seed": 0, "feature_extractor": EXTRACTORS.get(slug)})
    made["feature_extractor"] = {**made["feature_extractor"], **extractor}
    path = folder / f"{slug}-{len(extractor)}"
    if not path.exists():
        build(ModelEntry(**{**entry.as_dict(), "hub": None, "build": made}), path, [])
    return {"model": slug, "path": str(path), "n_layers": entry.n_layers, "width": entry.width}


def told(name: str, seconds: float) -> np.ndarray:
    """A story of the phantom as the synthesiser tells it, float32 at 16 kHz."""
    text = prose.read(ROOT / "config" / "phantom" / "stories", [name])[name]
    sound = speech.speak(text, name).sound.astype(np.float32) / 32768
    return sound[: round(seconds * RATE)]


def plain(card: Mapping[str, Any]) -> tuple[Any, Any]:
    """Feature extractor and encoder as transformers loads them, untouched by us, in float32."""
    from transformers import AutoFeatureExtractor, AutoModel

    model = load_model(card, AutoModel, resolve_device("auto"), "float32")
    encoder = model.get_encoder() if model.config.is_encoder_decoder else model
    return AutoFeatureExtractor.from_pretrained(card["path"]), encoder


@torch.inference_mode()
def literal(extractor: Any, model: Any, windows: list[np.ndarray], size: int) -> np.ndarray:
    """`size` windows at a time through feature extractor and model; every state of every frame is kept."""
    frames = []
    for i in range(0, len(windows), size):
        made = extractor(windows[i : i + size], sampling_rate=RATE, return_tensors="pt")
        values = made[extractor.model_input_names[0]].to(model.device)
        states = model(values, output_hidden_states=True).hidden_states
        frames.append(np.stack([state.float().cpu().numpy() for state in states], 1))
    return np.concatenate(frames)


def speed(folder: Path, repeats: int) -> str:
    """Table of seconds for four windows, the ways alternating."""
    sound = told("nightbaker", WINDOW_S + STRIDE_S * (WINDOWS - 1))
    full = sliding(len(sound), WINDOW_S, STRIDE_S)
    start, stop = full.start[-WINDOWS:], full.stop[-WINDOWS:]
    windows = [sound[a:b] for a, b in zip(start, stop, strict=True)]
    rows = [
        "| model | way | windows together | seconds | against one at a time |",
        "| --- | --- | --- | --- | --- |",
    ]
    for slug in EXTRACTORS:
        card = make_card(slug, folder)
        extractor, untouched = plain(card)
        exact, half = (SpeechEncoder(card, SETTINGS | {"dtype": kind}) for kind in ("float32", "bfloat16"))
        sizes = {"alone": 1, "together": 4} | {
            way: min(WINDOWS, encoder.measure_batch())
            for way, encoder in (("ours", exact), ("ours-bfloat16", half))
        }

        def ours(encoder: SpeechEncoder, size: int) -> None:
            read = encoder.reader(sound)
            for i in range(0, WINDOWS, size):
                read(start[i : i + size], stop[i : i + size])

        runs: Mapping[str, Callable[[], object]] = {
            "alone": lambda e=extractor, m=untouched: literal(e, m, windows, 1),
            "together": lambda e=extractor, m=untouched: literal(e, m, windows, 4),
            "ours": lambda exact=exact, n=sizes["ours"]: ours(exact, n),
            "ours-bfloat16": lambda half=half, n=sizes["ours-bfloat16"]: ours(half, n),
        }
        seconds: dict[str, list[float]] = {way: [] for way in runs}
        for _ in range(repeats + 1):  # the first round warms up
            for way, run in runs.items():
                seconds[way].append(sections.seconds(run))
        medians = {way: statistics.median(s[1:]) for way, s in seconds.items()}
        for way, name in WAYS.items():
            gain = medians["alone"] / medians[way]
            rows.append(f"| {slug} | {name} | {sizes[way]} | {medians[way]:.2f} | {gain:.2f}x |")
    return "\n".join(rows)


def main(argv: list[str] | None = None) -> None:
    """Measure, and write the section `speech` of docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="keep the built models here")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        fast = speed(folder, options.repeats)
    sections.write(
        "bench-features: speech",
        f"""## Speech features

{WINDOWS} windows of {WINDOW_S} s, {STRIDE_S} s apart, all layers, models of these shapes with random weights.
{sections.machine()} Medians of {options.repeats} rounds in which the ways alternate. Ours passes together as
many windows as it measured to be fastest, and keeps only the last valid frame.

{fast}
""",
    )


if __name__ == "__main__":
    main()
