"""Hidden states of any causal LM, kept only where they are wanted, and the surprisal of its tokens.

For every architecture, layer k is what enters block k, counted from 0, and the last layer is what leaves the
model's body, its final norm included. Where a model keeps several streams of states (Gemma 3n, DeepSeek V4),
a layer is their mean.

Nothing here knows an architecture. The blocks are found as the list of modules as long as the model is deep;
on loading, one probe pass proves that hooks on them give what transformers reports as `hidden_states`, that
the model is causal, and that its output head alone gives its logits. Where a proof fails, the slower general
way is taken (all states kept, or whole logits), and a model that is not causal is refused.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from voxscale.errors import UserError, first_line, naming
from voxscale.models.loading import is_out_of_memory
from voxscale.models.shape import depth, most_tokens

# Logits held at once. On a CPU more of them leave the caches: 2,900 tokens through OPT-125M's packed head
# took 1.1 s by 32 MB, 1.5 s by 64 MB.
_HEAD_BYTES = {"cpu": 32 << 20, "cuda": 256 << 20}
_HALF = 4  # tokens of either half of the probe's text


class _Enough(Exception):
    """Raised by the hook of the deepest block that is needed, to leave the pass."""


def _entering(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor | None:
    """The states that enter a block: the first tensor among its arguments."""
    return next((x for x in (*args, *kwargs.values()) if isinstance(x, torch.Tensor)), None)


def _is_causal(logits: torch.Tensor) -> bool:
    """Whether other last tokens move the first ones' logits by no more than rounding.

    Args:
        logits: (3, tokens, vocabulary) of a text, of it with another last half, and with another first half.
    """
    text, other_end, other_start = logits.float()
    backward = (text - other_end)[:_HALF].abs().max()
    forward = (text - other_start)[_HALF:].abs().max()
    # Where tokens see in both directions, the two are alike, however small. What a causal model rounds
    # otherwise (experts that work on other numbers of tokens) is far smaller.
    return not backward or bool(backward < 0.1 * forward)


def why_not_finite(dtype: torch.dtype, block: str) -> str:
    """What is wrong with a model that gives numbers that are not finite, and what to do.

    Args:
        block: of the config's `features`, text or speech.
    """
    if dtype == torch.float16:
        return f"overflows in float16; set features.{block}.dtype: bfloat16"
    return "gives NaN, so its weights are damaged; get the whole model again"


class StateReader:
    """Runs token batches through a model and keeps chosen layers at chosen positions.

    Args:
        model: any causal LM of transformers, in eval mode, on its device.
        layers: layers to keep, of 0 to the model's depth.
        surprisal: whether surprisals are needed.

    Raises:
        UserError: a layer that the model does not have, or a model that is not causal, cannot be run on text
            alone, or gives NaN.
    """

    def __init__(self, model: Any, layers: Sequence[int] | None = None, surprisal: bool = True) -> None:
        self.model, self.base = model, model.base_model
        if self.base is model:  # some classes name a body that they do not have (Llama 4)
            self.base = getattr(model, "model", model)
        self.config = model.config.get_text_config()
        name = model.config.name_or_path
        with naming(name):
            self.n_layers = depth(model.config, "language")
        self.layers = sorted(set(range(self.n_layers + 1) if layers is None else layers))
        if self.layers and not 0 <= self.layers[0] <= self.layers[-1] <= self.n_layers:
            raise UserError(
                f"features: the model has layers 0 to {self.n_layers}, not {self.layers}; ask for these"
            )
        self.surprisal = surprisal
        self.device: torch.device = model.get_input_embeddings().weight.device
        if self.device.type == "meta":  # offloaded: accelerate moves inputs to where they are needed
            self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.head = model.get_output_embeddings()
        self.limit = self._limit()
        self.passes = self.tokens = 0
        try:
            refusal = self._probe()
        except Exception as error:  # each architecture has exceptions of its own
            if isinstance(error, RuntimeError) and is_out_of_memory(error):
                raise
            refusal = f"cannot be run on text alone; use another model ({first_line(error)})"
        if refusal:
            raise UserError(f"{name}: {refusal}")

    def _limit(self) -> int | None:
        """Tokens of the longest pass; None where there is no limit."""
        limit = most_tokens(self.config)
        for table in self.base.modules():
            if not isinstance(table, torch.nn.Embedding) or table is self.model.get_input_embeddings():
                continue
            if table.num_embeddings == limit and table.padding_idx is not None:
                return limit - table.padding_idx - 1  # RoBERTa's positions begin behind that of padding
        return limit

    def _candidates(self) -> list[torch.nn.ModuleList]:
        return [
            module
            for module in self.base.modules()
            if isinstance(module, torch.nn.ModuleList) and len(module) == self.n_layers
        ]

    def _probe_ids(self) -> torch.Tensor:
        """(3, tokens): ordinary tokens, the same with another last half, and with another first half."""
        settings = self.model.config.to_dict() | self.config.to_dict()
        special = {value for key, value in settings.items() if "token" in key and isinstance(value, int)}
        ordinary = [i for i in range(2, self.config.vocab_size) if i not in special][: 4 * _HALF]
        a, b, c, d = torch.tensor(ordinary, device=self.device).view(4, _HALF)
        return torch.stack([torch.cat(halves) for halves in ((a, b), (a, c), (d, b))])

    @torch.inference_mode()
    def _probe(self) -> str | None:
        """Learn where this model's states are.

        Returns:
            why it cannot be used; None if it can.
        """
        ids = self._probe_ids()
        with self._leaving() as through:
            output = self.model(input_ids=ids, output_hidden_states=True, use_cache=False)
        states, logits = output.hidden_states, output.logits
        if len(states) != self.n_layers + 1:
            found = len(states) - 1
            return f"its config.json says {self.n_layers} layers, but it gives {found}; use another model"
        for x in states:
            if x.shape[:2] != ids.shape and (x.dim() != 4 or x.shape[1:3] != ids.shape):
                shapes = f"{tuple(x.shape)} for {tuple(ids.shape)} tokens"
                return f"gives states of the shape {shapes}; use another model"
        self.streams = next((0 if x.shape[:2] != ids.shape else 2 for x in states if x.dim() == 4), None)
        if logits.isnan().any() or not all(x.isfinite().all() for x in states):
            return why_not_finite(self.model.dtype, "text")
        if not _is_causal(logits):
            return "a token changes with what follows it, so this model is not causal; use a causal one"
        candidates = self._candidates()
        caught: list[dict[int, torch.Tensor]] = [{} for _ in candidates]
        with contextlib.ExitStack() as stack:
            for blocks, store in zip(candidates, caught, strict=True):
                stack.enter_context(self._hooks(blocks, range(self.n_layers), store.__setitem__))
            last = stack.enter_context(self._leaving())
            self.base(input_ids=ids, use_cache=False)
        self.head_is_all = self.head is not None and torch.equal(self.head(last[0]).float(), logits.float())
        # A model whose logits are more than its head's is run as a whole, and may leave its body out.
        usable = self.head_is_all or not self.surprisal or bool(through)
        self.blocks = next(
            (
                blocks
                for blocks, store in zip(candidates, caught, strict=True)
                if usable and len(store) == self.n_layers and self._agree(store, states)
            ),
            None,
        )
        return None

    def _agree(self, caught: dict[int, torch.Tensor], states: Sequence[torch.Tensor]) -> bool:
        """Whether states that enter blocks are those that transformers reports, of which some architectures
        (Mamba, RWKV) leave out the first one."""
        return any(
            all(torch.equal(caught[k], states[k - out]) for k in range(out, self.n_layers))
            for out in range(min(2, self.n_layers))
        )

    @contextlib.contextmanager
    def _hooks(self, blocks: Any, layers: Sequence[int], keep: Any) -> Iterator[None]:
        """Call `keep(layer, states)` for layers below the last one while the context is open."""
        with contextlib.ExitStack() as stack:
            for k in layers:
                if k < self.n_layers:
                    handle = blocks[k].register_forward_pre_hook(
                        lambda _, args, kwargs, k=k: keep(k, _entering(args, kwargs)), with_kwargs=True
                    )
                    stack.callback(handle.remove)
            yield

    @contextlib.contextmanager
    def _leaving(self) -> Iterator[list[torch.Tensor]]:
        """A list that gets what leaves the model's body in a pass while the context is open."""
        last: list[torch.Tensor] = []

        def keep(_: Any, __: Any, output: Any) -> None:
            last.append(output["last_hidden_state"] if isinstance(output, dict) else output[0])

        handle = self.base.register_forward_hook(keep)
        try:
            yield last
        finally:
            handle.remove()

    def _pass(self, ids: torch.Tensor, keep: Any) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """One forward pass: (last hidden states, logits), each only where something needs it."""
        self.passes += 1
        self.tokens += ids.numel()
        whole = self.surprisal and not self.head_is_all
        run = self.model if whole or self.blocks is None else self.base
        deepest = self.layers[-1] if self.layers else 0

        def keep_or_leave(k: int, states: torch.Tensor) -> None:
            keep(k, states)
            if k == deepest and not self.surprisal:
                raise _Enough

        with contextlib.ExitStack() as stack:
            last = stack.enter_context(self._leaving())
            if self.blocks is not None:
                stack.enter_context(self._hooks(self.blocks, self.layers, keep_or_leave))
            try:
                output = run(input_ids=ids, use_cache=False, output_hidden_states=self.blocks is None)
            except _Enough:
                return None, None
        leaves = last[0] if last else output.hidden_states[-1]
        for k in self.layers:
            if k == self.n_layers:
                keep(k, leaves)
            elif self.blocks is None:
                keep(k, output.hidden_states[k])
        return leaves, output.logits if whole else None

    @torch.inference_mode()
    def __call__(
        self,
        ids: torch.Tensor,
        at: tuple[torch.Tensor, torch.Tensor],
        scored: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> tuple[dict[int, torch.Tensor], np.ndarray]:
        """Pass one batch.

        Args:
            ids: (B, T) token ids; those after the end of a row are ignored.
            at: rows and columns of the k states that are kept.
            scored: rows and columns of the s tokens whose surprisal is summed.

        Returns:
            layer -> (k, width) float32, on the device of that layer; and (B,) float64, the summed surprisal
            of each row in nats.
        """
        kept: dict[int, torch.Tensor] = {}

        def keep(k: int, states: torch.Tensor) -> None:
            if states.dim() == 4:
                states = states.mean(self.streams)
            rows, columns = (index.to(states.device) for index in at)
            kept[k] = states[rows, columns].float()

        last, logits = self._pass(ids.to(self.device), keep)
        nats = np.zeros(len(ids))
        if scored is not None and len(scored[0]):
            rows, columns = scored
            targets = ids[rows, columns]
            most = _HEAD_BYTES.get(self.device.type, _HEAD_BYTES["cuda"])
            step = max(1, most // (4 * self.config.vocab_size))
            for i in range(0, len(rows), step):
                # The token at t is predicted at t - 1.
                source = logits if logits is not None else last
                part = source[
                    rows[i : i + step].to(source.device), columns[i : i + step].to(source.device) - 1
                ]
                scores = part if logits is not None else self.head(part)
                wanted = targets[i : i + step].to(scores.device)
                each = cross_entropy(scores.float(), wanted, reduction="none").double().cpu().numpy()
                np.add.at(nats, rows[i : i + step].numpy(), each)
        return kept, nats
