"""Text features: ours against one pass per word and against one unbatched pass per restart."""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(Path(__file__).parent)]

import measures
import sections
import yaml

from voxscale.dataset import PROSE
from voxscale.features import store as feature_store
from voxscale.features.contexts import Pass
from voxscale.features.language_model import LanguageModel, StoryWords
from voxscale.models.loading import load_model
from voxscale.models.prepare import prepare_model
from voxscale.models.registry import MODELS, load_registry

RESTARTS, MAX_CONTEXT, RESTART_AT = 8, 512, 256
SETTINGS = {
    "unit": "words",
    "max_context": MAX_CONTEXT,
    "restart_at": RESTART_AT,
    "token_budget": "auto",
    "bits_per_character": False,
    "device": "auto",
    "device_map": None,
    "on_disk": "float32",
}
WAYS = {
    "ours": ("ours, float32", "float32", False),
    "ours-bits": ("ours, float32, with bits per character", "float32", True),
    "ours-bfloat16": ("ours, bfloat16", "bfloat16", False),
}


def story() -> StoryWords:
    """Prose of the phantom, as long as eight restarts: 2.5 words a second, as people tell stories."""
    prose = sorted(PROSE.glob("*.txt"))
    words = " ".join(path.read_text() for path in prose).split()
    n = MAX_CONTEXT + (RESTARTS - 1) * (MAX_CONTEXT - RESTART_AT + 1)
    words = (words * (n // len(words) + 1))[:n]
    return StoryWords("story", words, np.arange(n) * 0.4, np.arange(int(n * 0.4 / 2) + 5) * 2.0 - 9)


def make_card(folder: Path) -> dict:
    """OPT-125M's shape with random weights and a tokenizer that makes 1.25 tokens a word."""
    from voxscale.models.build import build_model

    entry = load_registry(yaml.safe_load(MODELS.read_text()))["opt-125m"]
    entry = replace(entry, hub=None, build={"seed": 0})
    if not (folder / "model").exists():
        # The tokenizer alone is trained small; the model keeps OPT's vocabulary.
        small = replace(entry, vocab=1040, n_layers=1)
        build_model(entry, folder / "model", story().words)
        build_model(small, folder / "tokenizer", [" ".join(story().words)])
        for file in (folder / "tokenizer").glob("tokenizer*"):
            file.replace(folder / "model" / file.name)
    return prepare_model(replace(entry, build=None, path=str(folder / "model")), folder / "card.json")


def ours(model: LanguageModel, folder: Path) -> None:
    """End to end: tokenise, align, pass, gather, resample, write."""
    one = story()
    ((layers, numbers),) = model.features([one], [model.prepare(one)])
    feature_store.write_features(folder / "story.h5", layers, numbers)


def plain(card: dict) -> Any:
    """The model as transformers loads it, unchanged."""
    from transformers import AutoModelForCausalLM

    return load_model(card, AutoModelForCausalLM, {**SETTINGS, "dtype": "float32"})


@torch.inference_mode()
def reference(untouched: Any, passes: list[Pass]) -> None:
    """One unbatched pass per restart through the whole model, all hidden states kept."""
    kept = []
    for one in passes:
        ids = torch.from_numpy(one.ids)[None].to(untouched.device)
        output = untouched(input_ids=ids, output_hidden_states=True)
        kept.append([states[0].cpu().numpy() for states in output.hidden_states])


@torch.inference_mode()
def per_word(untouched: Any, tokenizer: Any, sample: int) -> float:
    """Seconds per word with one pass per word and its whole context, measured on a sample of words."""
    words = story().words
    spent = 0.0
    for word in np.linspace(0, len(words) - 1, sample).astype(int):
        size = (
            word + 1
            if word < MAX_CONTEXT
            else RESTART_AT + (word - MAX_CONTEXT) % (MAX_CONTEXT - RESTART_AT + 1)
        )
        text = " ".join(words[word + 1 - size : word + 1])

        def run(text: str = text) -> None:
            ids = torch.tensor([tokenizer(text)["input_ids"]], device=untouched.device)
            output = untouched(input_ids=ids, output_hidden_states=True)
            _ = [states[0, -1].cpu().numpy() for states in output.hidden_states]

        spent += sections.seconds(run)
    return spent / sample


def flops(model: LanguageModel) -> float:
    """Number of flops of the blocks' matrix products in all passes, causal attention included."""
    config = model.reader.config
    weights = model.card["parameters_non_embedding"]
    attention = 2 * config.num_hidden_layers * config.hidden_size
    return sum(
        2 * weights * t + attention * t**2 for t in (len(o.ids) for o in model.passage(story()).passes)
    )


def run_peak(way: str, folder: Path) -> None:
    """Print the memory that one implementation adds."""
    card = make_card(folder)
    name, dtype, bits = WAYS.get(way, ("", "float32", False))
    model = LanguageModel(card, {**SETTINGS, "dtype": dtype, "bits_per_character": bits})
    passes = model.passage(story()).passes
    if not name:
        untouched = plain(card)
        del model
        gc.collect()
    print(measures.added(lambda: ours(model, folder) if name else reference(untouched, passes)))


def table(folder: Path, repeats: int, sample: int) -> str:
    """Measure every implementation in turn, `repeats` times, and tabulate the medians."""
    card = make_card(folder)
    models = {
        way: LanguageModel(card, {**SETTINGS, "dtype": dtype, "bits_per_character": bits})
        for way, (_, dtype, bits) in WAYS.items()
    }
    passes = models["ours"].passage(story()).passes
    tokens = sum(len(one.ids) for one in passes)
    untouched = plain(card)
    gemm: dict[torch.dtype, list[float]] = {torch.float32: [], torch.bfloat16: []}
    times: dict[str, list[float]] = {way: [] for way in (*WAYS, "reference")}
    for _ in range(repeats + 1):  # the first round warms up
        for way, model in models.items():
            times[way].append(sections.seconds(lambda model=model: ours(model, folder)))
        times["reference"].append(sections.seconds(lambda: reference(untouched, passes)))
        for dtype, found in gemm.items():
            found.append(measures.gemm_peak(dtype))
    medians = {way: statistics.median(t[1:]) for way, t in times.items()}
    each = per_word(untouched, models["ours"].tokenizer, sample)
    words = len(story().words)
    peaks = {dtype: statistics.median(found[1:]) for dtype, found in gemm.items()}
    work = flops(models["ours"])
    head = 2 * models["ours"].reader.config.vocab_size * models["ours"].card["width"] * tokens
    single, half = peaks[torch.float32], peaks[torch.bfloat16]
    added = {way: measures.added_alone(__file__, way, folder) for way in ("reference", *WAYS)}
    slowest, once = each * words, medians["reference"]
    rows = [
        "| way | seconds | tokens/s | against the reference | share of GEMM peak | memory added, GB |",
        "| --- | --- | --- | --- | --- | --- |",
        f"| one pass per word, full context | {slowest:.0f} (extrapolated) | {tokens / slowest:.0f} | "
        f"{once / slowest:.4f}x | | |",
        f"| reference: one unbatched pass per restart, all states kept | {once:.2f} | {tokens / once:.0f} "
        f"| 1x | {work / once / single:.0%} | {added['reference']:.2f} |",
    ]
    for way, (name, dtype, _) in WAYS.items():
        share = work / medians[way] / peaks[getattr(torch, dtype)]
        rows.append(
            f"| {name} | {medians[way]:.2f} | {tokens / medians[way]:.0f} | "
            f"{once / medians[way]:.2f}x | {share:.0%} | {added[way]:.2f} |"
        )
    return f"""### Text

{sections.machine()}

OPT-125M's shape with random weights; one story of {words} words: {len(passes)} restarts of
{tokens / len(passes):.0f} tokens on average. Medians of {repeats} rounds in which the ways alternate.
Ours is end to end: tokenising, the alignment's audit, the passes, resampling and writing all 13 layers.
One pass per word is timed on {sample} words spread over the story and extrapolated to all of them; ours is
{slowest / medians["ours"]:.0f} times as fast.

GEMM peak (2048 cubed): {single / 1e9:.0f} GFLOP/s in float32, {half / 1e9:.0f} in bfloat16, which is
{half / single:.1f} times as much; shares count the blocks' products only. The reference's own products, its
output head included, ran at {(work + head) / once / single:.0%} of the float32 peak. With the products of the
blocks at the whole peak and all else for nothing the gain over the reference would be
{once / (work / single):.2f}x in float32 and {once / (work / half):.2f}x in bfloat16: the same passes cannot
gain more on this machine.

{chr(10).join(rows)}
"""


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark and write its section of docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sample", type=int, default=20, help="words timed for a pass per word")
    parser.add_argument("--folder", type=Path, help="keeps the model between runs")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.peak:
        run_peak(given.peak, given.folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        text = table(given.folder or Path(temporary), given.repeats, given.sample)
    print(text)
    sections.write("bench-features: text", text)


if __name__ == "__main__":
    main()
