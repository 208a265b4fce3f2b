"""Every language architecture of models.yaml at tiny size, for tests."""

from dataclasses import replace

import numpy as np
import torch
import yaml

from voxscale.features.language_model import StoryWords
from voxscale.models.build import build_model
from voxscale.models.counting import config_of, count_parameters, model_class
from voxscale.models.digests import digest_files, digest_folder
from voxscale.models.registry import MODELS, load_registry

SMALL = {
    "ffn_dim": 64,
    "intermediate_size": 64,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "query_pre_attn_scalar": 8,
    "sliding_window": 7,
    "max_position_embeddings": 128,
}
SLIDING = ("Mistral", "Gemma")  # those whose layers see a sliding window, here a short one
SETTINGS = {
    "unit": "words",
    "max_context": 12,
    "restart_at": 5,
    "dtype": "float32",
    "token_budget": "auto",
    "bits_per_character": True,
    "device": "cpu",
    "device_map": None,
    "on_disk": "float32",
}
WORDS = (  # noqa: SIM905
    "when i was ten , my grandmother's house had a door nobody opened ... we'd ask and she'd say it's "
    "nothing 'til it stood ajar"
).split()


def registry():
    """The whole of models.yaml."""
    return load_registry(yaml.safe_load(MODELS.read_text()))


def small(entry):
    """The entry's architecture, two layers deep and 32 wide."""
    config = {k: SMALL.get(k, v) for k, v in entry.config.items()}
    if "word_embed_proj_dim" in config:
        config["word_embed_proj_dim"] = 32 if config["word_embed_proj_dim"] == entry.width else 16
    if entry.model_class.startswith(SLIDING):
        config["sliding_window"] = SMALL["sliding_window"]
    return replace(
        entry,
        n_layers=2,
        width=32,
        heads=4,
        vocab=400,
        config=config,
        hub=None,
        path=None,
        gguf_file=None,
        build={"seed": 1},
    )


def language_architectures():
    """One small entry per class of the list, and OPT-350m's variant with its projections."""
    found = {}
    for entry in registry().values():
        if entry.modality == "language" and not entry.untrained:
            found.setdefault((entry.model_class, "do_layer_norm_before" in entry.config), small(entry))
    return {f"{name}{'-projected' if other else ''}": entry for (name, other), entry in found.items()}


def make_card(entry, folder, bos=True):
    """Build a small model and return its card's part that extraction reads."""
    entry = replace(entry, build={**entry.build, "bos": bos})
    build_model(entry, folder, [" ".join(WORDS)])
    return {
        "model": entry.slug,
        "path": str(folder),
        "n_layers": entry.n_layers,
        "weights_id": digest_folder(digest_files(folder)),
        "untrained": False,
    }


def context_start(word, max_context=12, restart_at=5):
    """First word of the context of a word."""
    start, size = 0, 0
    for _ in range(word + 1):
        size += 1
        if size > max_context:
            size = restart_at
    return start + word + 1 - size


def _last_token(layer):
    """Of (1, tokens, width); where there are streams, (streams, 1, tokens, width) or third, their mean."""
    if layer.dim() == 3:
        return layer[0, -1]
    return layer[0, -1].mean(0) if len(layer) == 1 else layer[:, 0, -1].mean(0)


@torch.inference_mode()
def pass_per_word(model, words=WORDS):
    """Literal oracle: tokenise each word's context, pass it, take the last token's states; surprisals too."""
    states, nats = [], 0.0
    for word in range(len(words)):
        start = context_start(word)
        ids = model.tokenizer(" ".join(words[start : word + 1]))["input_ids"]
        before = model.tokenizer(" ".join(words[start:word]))["input_ids"] if word > start else []
        output = model.model(input_ids=torch.tensor([ids]), output_hidden_states=True, use_cache=False)
        last = model.reader.base(input_ids=torch.tensor([ids]), use_cache=False).last_hidden_state
        states.append([_last_token(layer).numpy() for layer in (*output.hidden_states[:-1], last)])
        scores = torch.log_softmax(output.logits[0].float(), -1)
        first = max(len(before), 1)  # with a BOS, the first word's first token stands behind it
        nats -= sum(float(scores[t - 1, ids[t]]) for t in range(first, len(ids)))
    return states, nats


def passage_of(model, words=WORDS):
    return model.passage(StoryWords("tale", words, np.arange(len(words)) * 0.5, np.arange(10) * 2.0))


def count_entry(entry):
    """Parameters of an entry's model, from what config/models.yaml says of it."""
    return count_parameters(model_class(entry), config_of(entry))
