"""docs/models.md: each class of transformers for language and speech, by the workflow and by plain passes.

`python tests/models_page.py` runs the classes that the page lacks and writes them into it; `--again llama`
runs those again whose model type, class or result contains the word.
"""

import argparse
import contextlib
import gc
import inspect
import io
import multiprocessing
import re
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from importlib.metadata import version
from pathlib import Path

HOME = Path(__file__).parents[1]
PAGE = HOME / "docs/models.md"
sys.path[:0] = [str(HOME / "workflow/scripts"), str(HOME / "tests")]

import numpy as np  # noqa: E402
import tiny_classes  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

from voxscale.errors import UserError  # noqa: E402
from voxscale.features import speech_features, text_features  # noqa: E402
from voxscale.models import depth, load_registry, prepare_model  # noqa: E402

WORDS = (  # noqa: SIM905
    "when i was ten , my grandmother's house had a door nobody opened ... it stood ajar"
).split()
MAX_CONTEXT, RESTART_AT = 12, 5
RATE, WINDOW_S, STRIDE_S, SECONDS = 16000, 1.0, 0.25, 1.75
LARGEST = 1e-4  # difference from a plain pass, relative to a layer's largest value, that is rounding
LIMIT_S = 180


def contexts():
    """The words up to each word, as long as the two context lengths make them."""
    size, found = 0, []
    for i in range(len(WORDS)):
        size = size + 1 if size < MAX_CONTEXT else RESTART_AT
        found.append(WORDS[i + 1 - size : i + 1])
    return found


# Model types of which transformers reports what leaves each block, so not what enters the first one.
LATE = ("falcon_mamba", "mamba", "mamba2", "rwkv")


def _layers(model, ids):
    """(tokens, width) of each layer: what enters a block, and what leaves the model's body.

    Of several streams of states (Gemma 3n, DeepSeek V4) it is the mean.
    """
    body, last = getattr(model, "model", model.base_model), []
    with body.register_forward_hook(lambda _, __, output: last.append(output[0])):
        *states, top = model(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states
    if model.config.model_type in LATE:
        states = [model.get_input_embeddings()(ids), *states[:-1]]
    several = [x.mean(2 if x.shape[:2] == ids.shape else 0) if x.dim() == 4 else x for x in states]
    return [x[0].numpy() for x in (*several, last[0] if last else top)]


@torch.inference_mode()
def states_per_word(folder):
    """Layer -> (words, width): the context of each word passed by itself, the last token's states."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    found = []
    for context in contexts():
        ids = torch.tensor([tokenizer(" ".join(context))["input_ids"]])
        found.append([x[-1] for x in _layers(model, ids)])
    return [np.stack(layer) for layer in zip(*found, strict=True)]


def sound():
    """Noise whose level changes, as speech does."""
    rng = np.random.default_rng(0)
    n = round(SECONDS * RATE)
    level = np.interp(np.arange(n), np.linspace(0, n, 20), rng.uniform(0.01, 0.3, 20))
    return (level * rng.standard_normal(n)).astype(np.float32)


@torch.inference_mode()
def states_per_window(folder, samples, stops):
    """Layer -> (windows, width): each window passed by itself, its last frame's states."""
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    if model.config.is_encoder_decoder or hasattr(model.config, "encoder_config"):
        model = model.get_encoder()
    name, found = extractor.model_input_names[0], []
    for stop in stops:
        window = samples[max(0, stop - round(WINDOW_S * RATE)) : stop]
        with contextlib.suppress(TypeError):
            made = extractor(window, sampling_rate=RATE, return_tensors="pt", return_attention_mask=True)
        values, mask = made[name], made.get("attention_mask")
        padded = name != "input_values" and mask is not None
        n_in, valid = (mask.shape[-1], int(mask.sum())) if padded else (1, 1)
        masked = padded and "attention_mask" in inspect.signature(model.forward).parameters
        output = model(values, output_hidden_states=True, **({"attention_mask": mask} if masked else {}))
        layers = [*output.hidden_states[:-1], output.last_hidden_state]
        found.append([x[0, last_frame(model, valid, n_in, x.shape[1])].numpy() for x in layers])
    return [np.stack(layer) for layer in zip(*found, strict=True)]


def last_frame(model, valid, n_in, n_out):
    """Index of the last frame that hears the sound: by the model's own count where it has one."""
    if valid == n_in:
        return n_out - 1
    for name in ("_get_subsampling_output_length", "_get_feat_extract_output_lengths"):
        if hasattr(model, name):
            found = getattr(model, name)(torch.tensor([valid]))
            return int(found[0] if isinstance(found, tuple) else found) - 1
    return -(-valid * n_out // n_in) - 1


def entry(folder, modality, cls):
    """The entry under `models:` that a user writes for a folder."""
    architecture = {"class": cls, "n_layers": tiny_classes.LAYERS, "width": tiny_classes.WIDTH}
    config = transformers.AutoConfig.from_pretrained(folder)
    with contextlib.suppress(ValueError):  # several parts, or no number of layers
        architecture["n_layers"] = depth(config, modality)
        architecture["width"] = getattr(config.get_text_config(), "hidden_size", tiny_classes.WIDTH)
    raw = {"modality": modality, "path": str(folder), "architecture": architecture, "dtype": "float16"}
    return load_registry({"tiny": raw})["tiny"]


def compare(ours, plain):
    """(word for it, details) of the layers of an extraction and of plain passes."""
    if sorted(ours) != list(range(len(plain))):
        return "differs", f"{len(ours)} layers where a plain pass has {len(plain)}"
    each = []
    for k, values in enumerate(plain):
        if values.shape != ours[k].shape:
            return "differs", f"layer {k} is {ours[k].shape}, of a plain pass {values.shape}"
        each.append(float(np.abs(ours[k] - values).max() / np.abs(values).max()))
    worst = max(each)
    if not worst < LARGEST:
        return "differs", f"by {worst:.0e} in layer {each.index(worst)} of {len(plain) - 1}"
    moved = float(np.abs(np.diff(plain[-1], axis=0)).max() / np.abs(plain[-1]).max())
    return "same", (
        f"to {worst:.0e}" if worst else "exactly"
    ) if moved > 0.01 else f"but hardly changes: {moved:.0e}"


def one_line(error, folder):
    return " ".join(str(error).replace(str(folder), "<folder>").split())[:300]


def outcome(modality, model_type, cls, folder):
    """What happens to one class: (word for it, details)."""
    try:
        made = tiny_classes.build(model_type, cls, folder, WORDS if modality == "language" else None)
    except Exception as error:
        traceback.print_exc()
        lacking = re.search(r"requires the (\w+) library", str(error))
        # Of an error that reports another, the last one.
        return "not built", f"needs {lacking[1]}" if lacking else one_line(error, folder).split("Error: ")[-1]
    try:
        prepare_model(entry(folder, modality, type(made).__name__), folder.parent / "card.json")
        if modality == "language":
            clock = np.arange(len(WORDS)) * 2.0  # a word in each TR: resampling keeps its states as they are
            found = text_features(folder, WORDS, clock, clock, None, MAX_CONTEXT, RESTART_AT)
        else:
            clock = np.arange(1, round(SECONDS / STRIDE_S) + 1) * STRIDE_S
            found = speech_features(folder, sound(), RATE, clock, None, WINDOW_S, STRIDE_S)
    except UserError as error:
        return "refused", one_line(error, folder)
    except Exception as error:
        traceback.print_exc()
        return "fails", f"{type(error).__name__}: {one_line(error, folder)}"
    if modality == "language":
        return compare(found.layers, states_per_word(folder))
    return compare(found.layers, states_per_window(folder, sound(), np.round(clock * RATE).astype(int)))


def _child(pipe, row):
    warnings.simplefilter("ignore")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(said):
        try:
            found = outcome(*row, Path(folder) / "model")
        except Exception as error:
            traceback.print_exc()
            found = "no plain pass", f"{type(error).__name__}: {one_line(error, folder)}"
    pipe.send((*found, said.getvalue()))


def run(row):
    """One class in a process of its own: (word for it, details, what it printed)."""
    gc.freeze()  # a child copies no memory of what is imported
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(theirs, row))
    process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(LIMIT_S) else ("fails", f"took more than {LIMIT_S} s", "")
    except EOFError:
        return "fails", "the process died", ""
    finally:
        process.kill()
        process.join()


def rows():
    """(modality, model type, class) of all."""
    found = {"language": tiny_classes.language_rows(), "speech": tiny_classes.speech_rows()}
    return [(modality, *row) for modality, listed in found.items() for row in listed]


TOP = """# Models that work

What voxscale does with each class of causal language models and of speech models in transformers {version}.
A tiny model of the class, with random weights, is saved as published models are and opened as a study opens
one. Its features of a short story, or of a short sound, are compared with plain passes: the context of each
word by itself, or each window by itself. The largest difference is a part of the layer's largest value; what
float32 rounds to is about 1e-06. Layers are what enters each block, and what leaves the model.

{counts}

`python tests/models_page.py` makes this page; a test holds that it names the classes of the installed
transformers, and repeats 25 of them.

## Your own model

```python
from voxscale import text_features

text_features("/path/of/the/model", ["one", "upon", "a", "time"], [0.5, 1, 1.5, 2], [0, 2, 4])
```

A folder in the hub's format that this call takes works in a study too, with an entry under `models:` in its
config ([../config/README.md](../config/README.md)), and so do features that you have as arrays
([features.md](features.md)). `speech_features` does the same with sound
([api.md](api.md)).

## What is refused, and why

- **A model in which a word sees what follows it** (BERT, RoBERTa, XLNet, ...): its state at a word would know
  words that the listener has not heard yet. Most of these classes are causal with `is_decoder: true` in
  `config.json`, and work if they were trained so.
- **An encoder-decoder of text** (BART, T5, ...): its decoder was not trained to read alone. One that is saved
  by itself works, as the rows of these classes below.
- **A model of sound at another rate than 16 kHz**: most of these make music or speech.
- **A model that takes text besides sound** (Qwen2-Audio, Voxtral, ...), or whose sound is read by a part that
  transformers does not open by itself (SpeechT5, a SpeechEncoderDecoder).
- **A model of spectrograms that are cut or padded to one length without a word about it** (AST): its last
  frame would be padding.
- **A model without a stack of equal layers** (a codec such as DAC): there is no layer to choose.

"Not built" are classes that need a library which is not part of voxscale's environment, or whose default
configuration transformers itself cannot build. In the rows, `<folder>` is the model's folder.
"""
HEADS = {"language": "Language models", "speech": "Speech models"}
ROW = re.compile(r"\| `([^`]+)` \| (\w+) \| (same|differs|fails|refused|not built|no plain pass):? (.*) \|")


def read_page():
    """(modality, model type, class) -> (word for it, details), as the page has them."""
    found, modality = {}, None
    for line in PAGE.read_text().splitlines() if PAGE.exists() else ():
        modality = next((key for key, head in HEADS.items() if line == f"## {head}"), modality)
        if row := ROW.fullmatch(line):
            found[modality, row[1], row[2]] = (row[3], row[4])
    return found


def counts(found):
    """Table: how many classes of each kind had which outcome."""
    lines = ["| | same as plain passes | refused | not built | other |", "| --- | --: | --: | --: | --: |"]
    for modality, head in HEADS.items():
        number = Counter(word for (kind, *_), (word, _) in found.items() if kind == modality)
        named = [number.pop(word, 0) for word in ("same", "refused", "not built")]
        lines.append(f"| {head} | {' | '.join(map(str, [*named, number.total()]))} |")
    return "\n".join(lines)


def page(found):
    """The whole page."""
    parts = [TOP.format(version=version("transformers"), counts=counts(found))]
    for modality, head in HEADS.items():
        parts.append(f"## {head}\n\n| model type | class | outcome |\n| --- | --- | --- |")
        for row in rows():
            if row[0] == modality and row in found:
                word, details = found[row]
                details = details.replace("|", "/")
                parts.append(f"| `{row[1]}` | {row[2]} | {word}{'' if word == 'same' else ':'} {details} |")
        parts.append("")
    return "\n".join(parts)


def main():
    """Run what the page lacks, or what is asked for, and write the page after each class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--again", nargs="*", default=[], help="words of rows to run again")
    words, found = parser.parse_args().again, read_page()
    for row in rows():
        if row in found and not any(word in " ".join((*row, *found[row])) for word in words):
            continue
        *found[row], said = run(row)
        print(*row, *found[row], flush=True)
        print(said, file=sys.stderr, flush=True)
        PAGE.write_text(page(found))


if __name__ == "__main__":
    main()
