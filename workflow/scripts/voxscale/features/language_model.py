"""A causal LM that turns a story's words into features on its TR clock.

The approach is that of Jain & Huth 2018 (doi 10.1101/327601).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.linalg import block_diag

from voxscale.errors import UserError, naming
from voxscale.features.batch_size import BatchSize
from voxscale.features.contexts import Passage, make_passage
from voxscale.models import (
    StateReader,
    free_bytes,
    load_model,
    open_tokenizer,
    pack,
    resolve_device,
    splits_as_its_file,
    use_blocks,
)
from voxscale.timeseries import lanczos_weights

CPU_BUDGET = 2048  # tokens per batch: larger ones leave the caches and gain nothing (docs/benchmarks.md)
GPU_BUDGET = 32768


class StoryWords(NamedTuple):
    """One story's words and clock.

    Attributes:
        words: n words as transcribed.
        times: (n,) s, middle of each word.
        clock: (m,) s, middle of each TR of the stimulus clock.
    """

    name: str
    words: list[str]
    times: np.ndarray
    clock: np.ndarray


def token_budget(setting: int | str, model: Any, device: torch.device, surprisal: bool) -> int:
    """Tokens per batch: as set, or what fits half of the free memory.

    ASSUME: a token needs about 24 float32 values of the model's width (residual, queries, keys, values, two
    widths of the MLP, norms, and room to spare), and attention scores are not kept (SDPA).
    """
    if setting != "auto":
        return int(setting)
    config = model.config.get_text_config()
    per_token = 24 * 4 * config.hidden_size + (8 * config.vocab_size if surprisal else 0)
    most = CPU_BUDGET if device.type == "cpu" else GPU_BUDGET
    return max(1, min(most, free_bytes(device) // 2 // per_token))


def batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Group passes of similar length so that rows x longest stays within the budget; one at least.

    Returns:
        lists of indexes into `lengths`, longest first.
    """
    groups: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if groups and lengths[groups[-1][0]] * (len(groups[-1]) + 1) <= budget:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def story_groups(words: Mapping[str, int], tokens: int) -> list[list[str]]:
    """Stories that pass together, in order: as many as may fill a batch, one at least.

    They follow from all stories of a study, not from those that are left, so that a job that continues after
    a kill has the same batches.

    ASSUME: a word makes 1.3 tokens, and two passes read it.

    Args:
        words: story -> its number of words.
        tokens: tokens of a batch; 0 for one story at a time.
    """
    groups: list[list[str]] = []
    filled = 0.0
    for story, n in words.items():
        own = 2 * 1.3 * n
        if groups and filled + own <= tokens:
            groups[-1].append(story)
            filled += own
        else:
            groups.append([story])
            filled = own
    return groups


def _joined(passages: Sequence[Passage]) -> Passage:
    """Passages one after the other; the states of each are counted behind those before it."""
    starts = np.cumsum([0, *(passage.n_states for passage in passages)])
    owners = [np.where(p.owner < 0, -1, p.owner + start) for p, start in zip(passages, starts, strict=False)]
    passes = [one for passage in passages for one in passage.passes]
    return Passage(passes, np.concatenate(owners), sum(passage.characters for passage in passages))


class LanguageModel:
    """A causal LM that turns stories into features.

    Args:
        card: model card, as `prepare_model` writes it.
        settings: the config's `features.text`, with `device` and `device_map` of `features`.
        layers: layers to keep; None for all.
        offload: folder for weights that go to disk.
        folder: where the token budget is kept; None to determine it again.

    Attributes:
        tokens: tokens per batch.

    Raises:
        UserError: the model cannot be loaded or used.
    """

    def __init__(
        self,
        card: Mapping[str, Any],
        settings: Mapping[str, Any],
        layers: Sequence[int] | None = None,
        offload: str | Path | None = None,
        folder: str | Path | None = None,
    ) -> None:
        from transformers import AutoModelForCausalLM

        self.card, self.settings = card, settings
        self.surprisal = bool(settings["bits_per_character"])
        self.model = load_model(card, AutoModelForCausalLM, settings, offload)
        if resolve_device(settings["device"]).type == "cpu" and not settings["device_map"]:
            pack(self.model, CPU_BUDGET, self.surprisal)
            use_blocks(self.model)
        self.tokenizer = open_tokenizer(card["path"])
        self.reader = StateReader(self.model, layers, self.surprisal)
        whole_logits = self.surprisal and not self.reader.head_is_all

        def find() -> int:
            return token_budget(settings["token_budget"], self.model, self.reader.device, whole_logits)

        if folder is not None and settings["token_budget"] == "auto":
            self.tokens = BatchSize.kept(folder, card, self.model, find, whole_logits=whole_logits)
        else:
            self.tokens = BatchSize(find(), card["model"])

    def groups(self, words: Mapping[str, int]) -> list[list[str]]:
        """Stories (name -> number of words) that pass together: several on a GPU that one does not fill."""
        # On a CPU a batch is smaller than a story.
        return story_groups(words, 0 if self.reader.device.type == "cpu" else self.tokens.value)

    def passage(self, story: StoryWords) -> Passage:
        """Tokenise a story into passes."""
        with naming(f"story {story.name}"):
            passage = make_passage(
                self.tokenizer,
                story.words,
                self.settings["unit"],
                self.settings["max_context"],
                self.settings["restart_at"],
                self.reader.limit,
            )
        if not splits_as_its_file(self.tokenizer, self.card["path"], " ".join(story.words)):
            raise UserError(
                f"{self.card['path']}: splits story {story.name} into other tokens than tokenizer.json says; "
                "set tokenizer_class: PreTrainedTokenizerFast in tokenizer_config.json"
            )
        most, vocabulary = max(one.ids.max() for one in passage.passes), self.reader.config.vocab_size
        if most >= vocabulary:
            raise UserError(
                f"{self.card['path']}: its tokenizer gives token {most}, but the model has {vocabulary}; "
                "put the model's own tokenizer there"
            )
        return passage

    def _run(
        self, passage: Passage, budget: int
    ) -> Iterator[tuple[list[int], np.ndarray, dict[int, torch.Tensor], np.ndarray]]:
        """Yield, per batch: its passes, which kept states (k,), layer -> (k, width), nats of each pass."""
        ends = np.cumsum([0, *(len(one.at) for one in passage.passes)])
        for group in batches([len(one.ids) for one in passage.passes], budget):
            chosen = [passage.passes[i] for i in group]
            longest = max(len(one.ids) for one in chosen)
            # Padding repeats the last token: it follows the text, so nothing in the text can see it.
            ids = np.stack([np.pad(one.ids, (0, longest - len(one.ids)), mode="edge") for one in chosen])
            index = {
                name: (
                    torch.from_numpy(
                        np.repeat(np.arange(len(chosen)), [len(getattr(o, name)) for o in chosen])
                    ),
                    torch.from_numpy(np.concatenate([getattr(o, name) for o in chosen])),
                )
                for name in ("at", "scored")
            }
            states, nats = self.reader(
                torch.from_numpy(ids), index["at"], index["scored"] if self.surprisal else None
            )
            yield group, np.concatenate([np.arange(ends[i], ends[i + 1]) for i in group]), states, nats

    def mixed_states(self, passage: Passage, mix: np.ndarray) -> tuple[dict[int, np.ndarray], np.ndarray]:
        """Weighted sums of the passage's kept states, made on the device and moved once.

        Args:
            mix: (m, states) weights; the identity gives the states themselves.

        Returns:
            layer -> (m, width) float32, and (passes,) the summed surprisal of each pass in nats, NaN if
            a state is not finite.

        Raises:
            UserError: out of memory even with one pass at a time.
        """
        weights = mix.astype(np.float32)

        def add(budget: int) -> tuple[dict[int, np.ndarray], np.ndarray]:
            sums: dict[int, torch.Tensor] = {}
            total = np.zeros(len(passage.passes))
            for group, where, states, nats in self._run(passage, budget):
                total[group] = nats
                part = weights[:, where]
                reached = np.flatnonzero(part.any(axis=1))  # a TR hears the words of a few seconds only
                # To the device once, not with each layer: each copy waits for the device.
                rows, part = (torch.from_numpy(x).to(self.reader.device) for x in (reached, part[reached]))
                for layer, values in states.items():
                    if layer not in sums:
                        sums[layer] = values.new_zeros(len(mix), values.shape[1])
                    sums[layer].index_add_(0, rows.to(values.device), part.to(values.device) @ values)
            flat = torch.cat([values.to(self.reader.device).ravel() for values in sums.values()])
            if not bool(flat.isfinite().all()):
                total[:] = math.nan
            ends = np.cumsum([values.numel() for values in sums.values()])[:-1]
            parts = np.split(flat.cpu().numpy(), ends)
            return {
                layer: part.reshape(values.shape)
                for (layer, values), part in zip(sums.items(), parts, strict=True)
            }, total

        longest = max(len(one.ids) for one in passage.passes)
        refusal = f"one pass of {longest} tokens; set a lower features.text.max_context"
        return self.tokens.run(add, refusal, longest)

    def prepare(self, story: StoryWords) -> tuple[Passage, np.ndarray]:
        """What needs no model: a story's passes, and the (m, states) weights of their states at its TRs."""
        passage = self.passage(story)
        with naming(f"story {story.name}"):
            weights = lanczos_weights(story.times, story.clock)  # (m, words)
        owned = np.flatnonzero(passage.owner >= 0)
        mix = np.zeros((len(story.clock), passage.n_states))
        np.add.at(mix.T, passage.owner[owned], weights.T[owned])  # several words may share a state
        return passage, mix

    def features(
        self, stories: Sequence[StoryWords], prepared: Sequence[tuple[Passage, np.ndarray]]
    ) -> list[tuple[dict[int, np.ndarray], dict[str, float]]]:
        """Features of stories, each on its TR clock; passes of several stories share batches.

        Args:
            prepared: of each story, by `prepare`.

        Returns:
            for each story: layer -> (m, width) float32, and its numbers: `n_words`, `n_tokens`, and, if
            requested, `bits_per_character` of `n_characters` scored ones.
        """
        passages = [passage for passage, _ in prepared]
        mix = block_diag(*(mix for _, mix in prepared)) if len(prepared) > 1 else prepared[0][1]
        layers, nats = self.mixed_states(_joined(passages), mix)
        if not np.isfinite(nats).all():
            raise UserError(
                f"{self.card['model']}: its states or surprisals in story "
                f"{', '.join(story.name for story in stories)} are not numbers; "
                "set features.text.dtype: float32"
            )
        found = []
        row = first = 0
        for story, passage in zip(stories, passages, strict=True):
            rows, passes = slice(row, row + len(story.clock)), slice(first, first + len(passage.passes))
            row, first = rows.stop, passes.stop
            numbers: dict[str, float] = {
                "n_words": len(story.words),
                "n_tokens": sum(len(one.scored) for one in passage.passes),
            }
            if self.surprisal and passage.characters:
                numbers["n_characters"] = passage.characters
                numbers["bits_per_character"] = nats[passes].sum() / math.log(2) / passage.characters
            found.append(({layer: values[rows] for layer, values in layers.items()}, numbers))
        return found
