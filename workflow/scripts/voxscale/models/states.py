"""Hidden states of any causal LM, kept only where they are wanted, and the surprisal of its tokens.

Nothing here knows an architecture. The blocks are found as the list of modules as long as the model is deep;
on loading, one probe pass proves that hooks on them give what transformers reports as `hidden_states`, that
the model is causal, and that its output head alone gives its logits. Where a proof fails, the slower general
way is taken (all states kept, or whole logits), and a model that is not causal is refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from voxscale.errors import UserError

# Logits held at once. On a CPU more of them leave the caches: 2,900 tokens through OPT-125M's packed head
# took 1.1 s by 32 MB, 1.5 s by 64 MB.
_HEAD_BYTES = {"cpu": 32 << 20, "cuda": 256 << 20}


class _Enough(Exception):
    """Raised by the hook of the deepest block that is needed, to leave the pass."""


def _tensor(output: Any) -> torch.Tensor:
    return output[0] if isinstance(output, tuple | list) else output


def _entering(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    return args[0] if args else kwargs["hidden_states"]


class StateReader:
    """Runs token batches through a model and keeps chosen layers at chosen positions.

    Args:
        model: any causal LM of transformers, in eval mode, on its device.
        layers: layers to keep, as transformers counts `hidden_states`: 0 is the embedding output, the last
            one includes the final norm.
        surprisal: whether surprisals are needed.

    Raises:
        UserError: a layer that the model does not have, or a model that is not causal.
    """

    def __init__(self, model: Any, layers: Sequence[int] | None = None, surprisal: bool = True) -> None:
        self.model, self.base = model, model.base_model
        self.config = model.config.get_text_config()
        self.n_layers: int = self.config.num_hidden_layers
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
        self.passes = self.tokens = 0
        self._probe()

    def _candidates(self) -> list[torch.nn.ModuleList]:
        return [
            module
            for module in self.base.modules()
            if isinstance(module, torch.nn.ModuleList) and len(module) == self.n_layers
        ]

    @torch.inference_mode()
    def _probe(self) -> None:
        vocab = self.config.vocab_size
        ids = (torch.arange(2, 10, device=self.device) % vocab).repeat(2, 1)  # (2, 8)
        ids[1, -1] = (ids[0, -1] + 1) % vocab
        candidates: list[torch.nn.ModuleList] = self._candidates()
        caught: list[dict[int, torch.Tensor]] = [{} for _ in candidates]
        with contextlib.ExitStack() as stack:
            for blocks, store in zip(candidates, caught, strict=True):
                wanted = range(self.n_layers + 1)
                stack.enter_context(
                    self._hooks(blocks, wanted, lambda k, x, store=store: store.update({k: x}))
                )
            output = self.model(input_ids=ids, output_hidden_states=True, use_cache=False)
        states = output.hidden_states
        last = states[-1]
        if not torch.allclose(
            last[0, :-1].float(), last[1, :-1].float(), rtol=1e-2, atol=1e-2 * float(last.abs().max())
        ):
            raise UserError(
                f"{self.model.config.name_or_path}: a token changes with what follows it, so this model "
                "is not causal; use a causal one"
            )
        self.blocks = next(
            (
                blocks
                for blocks, store in zip(candidates, caught, strict=True)
                if all(k in store and torch.equal(store[k], states[k]) for k in range(self.n_layers))
            ),
            None,
        )
        self.head_is_all = self.head is not None and torch.allclose(
            self._logits(last).float(), output.logits.float(), rtol=1e-3, atol=1e-3
        )

    def _logits(self, states: torch.Tensor) -> torch.Tensor:
        return self.head(states)

    @contextlib.contextmanager
    def _hooks(self, blocks: Any, layers: Sequence[int], keep: Any) -> Iterator[None]:
        """Call `keep(layer, states)` for layers below the last one while the context is open."""
        handles = []
        if 0 in layers:
            handles.append(
                blocks[0].register_forward_pre_hook(
                    lambda _, args, kwargs: keep(0, _entering(args, kwargs)), with_kwargs=True
                )
            )
        for k in range(1, self.n_layers):
            if k in layers:
                handles.append(
                    blocks[k - 1].register_forward_hook(lambda _, __, out, k=k: keep(k, _tensor(out)))
                )
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _pass(self, ids: torch.Tensor, keep: Any) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """One forward pass: (last hidden states, logits), each only where something needs it."""
        self.passes += 1
        self.tokens += ids.numel()
        whole = self.surprisal and not self.head_is_all
        run = self.model if whole else self.base
        if self.blocks is None:
            output = run(input_ids=ids, use_cache=False, output_hidden_states=True)
            for k in self.layers:
                keep(k, output.hidden_states[k])
            return output.hidden_states[-1], output.logits if whole else None
        last: list[torch.Tensor] = []
        deepest = self.layers[-1] if self.layers else 0

        def keep_or_leave(k: int, states: torch.Tensor) -> None:
            keep(k, states)
            if k == deepest and not self.surprisal:
                raise _Enough

        def keep_last(_: Any, __: Any, output: Any) -> None:
            last.append(output["last_hidden_state"] if isinstance(output, dict) else output[0])

        handle = self.base.register_forward_hook(keep_last)
        try:
            with self._hooks(self.blocks, self.layers, keep_or_leave):
                output = run(input_ids=ids, use_cache=False)
        except _Enough:
            return None, None
        finally:
            handle.remove()
        if self.n_layers in self.layers:
            keep(self.n_layers, last[0])
        return last[0], output.logits if whole else None

    @torch.inference_mode()
    def __call__(
        self,
        ids: torch.Tensor,
        at: tuple[torch.Tensor, torch.Tensor],
        scored: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> tuple[dict[int, torch.Tensor], float]:
        """Pass one batch.

        Args:
            ids: (B, T) token ids; those after the end of a row are ignored.
            at: rows and columns of the k states that are kept.
            scored: rows and columns of the s tokens whose surprisal is summed.

        Returns:
            layer -> (k, width) float32, on the device of that layer; and the summed surprisal in nats.
        """
        kept: dict[int, torch.Tensor] = {}

        def keep(k: int, states: torch.Tensor) -> None:
            rows, columns = (index.to(states.device) for index in at)
            kept[k] = states[rows, columns].float()

        last, logits = self._pass(ids.to(self.device), keep)
        nats = 0.0
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
                scores = part if logits is not None else self._logits(part)
                wanted = targets[i : i + step].to(scores.device)
                nats += float(cross_entropy(scores.float(), wanted, reduction="sum"))
        return kept, nats
