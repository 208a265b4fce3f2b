"""A speech encoder that gives the last frame of each window, at every layer.

There are two kinds: encoders of the waveform (HuBERT, WavLM, wav2vec 2.0, data2vec, ...) and encoders of a
spectrogram (Whisper, ...). No code is specific to one architecture.
"""

import inspect
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.utils import parametrize

from voxscale.errors import UserError, first_line
from voxscale.features.sound import RATE
from voxscale.features.speech_windows import (
    CPU_BATCH_BYTES,
    MINIMUM,
    SoundWindows,
    window_bytes,
    windows_per_batch,
)
from voxscale.models import (
    encoder_of,
    is_out_of_memory,
    load_model,
    open_extractor,
    pack,
    put_channels_last,
    resolve_device,
    use_blocks,
    why_not_finite,
)
from voxscale.overlap import prepare_ahead
from voxscale.progress import bar
from voxscale.timeseries import lanczos_weights

_FRAMES = 1024  # about as many as a long window has
# Model input, further arguments, and the mask of frames that hold sound (None: all do).
_Inputs = tuple[torch.Tensor, dict[str, Any], Any]

# Functions of an encoder that give its output frames for so many input frames.
_LENGTHS = ("_get_subsampling_output_length", "_get_feat_extract_output_lengths")
_PROBED_S = 2.0  # longest sound that an encoder is tried with
_CHANGED = 1600  # samples at its end that are changed: at least one frame of any encoder


def last_valid(model: Any, valid: torch.Tensor, n_in: int, n_out: int) -> torch.Tensor:
    """Index of the last output frame that is centred on sound, not on padding.

    It follows from the encoder's own function of lengths. Where there is none, a mask pushed through padded
    convolutions of a whole stride keeps ceil(valid / stride) frames.

    Args:
        valid: (batch,) input frames that hold sound.
        n_in, n_out: input and output frames, padding included.
    """
    for name in _LENGTHS:
        if function := getattr(model, name, None):
            lengths = function(valid)
            return (lengths[-1] if isinstance(lengths, tuple) else lengths).long() - 1
    stride = round(n_in / n_out)
    return torch.div(valid + stride - 1, stride, rounding_mode="floor") - 1


class _FrontEnd(torch.nn.Module):
    """A convolutional front end that passes on frames already made from the whole story."""

    def __init__(self, convolutions: torch.nn.Module) -> None:
        super().__init__()
        self.convolutions = convolutions

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Samples (batch, n) become frames (batch, channels, frames); frames stay."""
        return values if values.dim() == 3 else self.convolutions(values)


class SpeechEncoder:
    """A speech encoder that turns windows of sound into one frame each, at the chosen layers.

    Args:
        card: model card, as `prepare_model` writes it.
        settings: the config's `features.speech`, with `device` and `device_map` of `features`.
        layers: layers to keep; None for all. Layer 0 is what enters the first transformer block, the last one
            what leaves the encoder, its final norm included.
        offload: folder for weights that go to disk.

    Raises:
        UserError: the model cannot be loaded, or cannot take the config's windows.
    """

    def __init__(
        self,
        card: Mapping[str, Any],
        settings: Mapping[str, Any],
        layers: Sequence[int] | None = None,
        offload: str | Path | None = None,
    ) -> None:
        from transformers import AutoModel

        self.card, self.window_s, self.stride_s = card, settings["window_s"], settings["stride_s"]
        self.front_end_of = settings.get("front_end", "window")
        self.layers = list(range(card["n_layers"] + 1)) if layers is None else list(layers)
        self.extractor = open_extractor(card["path"])
        self.takes_waveform = self._takes_waveform()
        # Whisper pads every window to its chunk; such windows may differ in length within a batch.
        self.chunk_samples = None if self.takes_waveform else getattr(self.extractor, "n_samples", None)
        self._check_windows()
        device = resolve_device(settings["device"])
        # A story's first windows have each a length of its own. What oneDNN keeps of each, of 1,024 shapes by
        # default, scatters over the heap, and freed windows are not given back: 64 lengths took 0.7 GB more.
        os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")
        self.model = encoder_of(load_model(card, AutoModel, settings, offload))
        for module in self.model.modules():  # weights that are norms times directions: multiply them out once
            there = not any(values.is_meta for values in module.parameters())  # not on disk
            if there and parametrize.is_parametrized(module, "weight"):
                parametrize.remove_parametrizations(module, "weight")
        self.dtype, self.device = self.model.dtype, self.model.device
        if self.device.type == "meta":  # its first weights are on disk: accelerate moves the sound to them
            self.device = device
        if device.type == "cpu" and not settings["device_map"]:
            pack(self.model, _FRAMES)
            put_channels_last(self.model)
            use_blocks(self.model)
        self._probe()
        self.shares_front_end = self._can_share()
        if self.shares_front_end:
            self.model.feature_extractor = _FrontEnd(self.model.feature_extractor)

    def _can_share(self) -> bool:
        """Whether convolving the story once gives each window the very frames it would have by itself.

        This holds where nothing is normalised over the time of a window, nothing is padded, and windows begin
        on the grid of frames. With `front_end: story` the sound is normalised as a whole, so more share.
        """
        config = self.model.config
        return (
            self.takes_waveform
            and hasattr(self.model, "feature_extractor")
            and bool(getattr(config, "conv_stride", None))
            and getattr(config, "feat_extract_norm", "layer") == "layer"
            and (self.front_end_of == "story" or not self.normalises)
            and all(round(s * RATE) % self.hop == 0 for s in (self.window_s, self.stride_s))
        )

    @property
    def normalises(self) -> bool:
        """Whether the model wants sound of zero mean and unit variance."""
        return bool(getattr(self.extractor, "do_normalize", True))

    @property
    def hop(self) -> int:
        """Samples from frame to frame of a convolutional front end."""
        return math.prod(self.model.config.conv_stride)

    @property
    def receptive(self) -> int:
        """Samples that one frame of a convolutional front end sees; 1 where there is none."""
        config, samples = self.model.config, 1
        kernels, strides = getattr(config, "conv_kernel", ()), getattr(config, "conv_stride", ())
        for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
            samples = (samples - 1) * stride + kernel
        return samples

    def _check_windows(self) -> None:
        if self.extractor.sampling_rate != RATE:
            raise UserError(
                f"{self.card['model']}: takes sound at {self.extractor.sampling_rate} Hz, not 16 kHz; "
                "use another model"
            )
        if self.chunk_samples and round(self.window_s * RATE) > self.chunk_samples:
            raise UserError(
                f"config key features.speech.window_s: {self.window_s} s is longer than the "
                f"{self.chunk_samples / RATE:g} s that {self.card['model']} takes; lower it"
            )

    def _takes_waveform(self) -> bool:
        """Whether the feature extractor gives the samples as they are, not a spectrogram (as AST's does)."""
        if self.extractor.model_input_names[0] != "input_values" or self.extractor.sampling_rate != RATE:
            return False
        made = self.extractor([np.zeros(RATE, np.float32)], sampling_rate=RATE, return_tensors="np")
        return made["input_values"].shape == (1, RATE)

    @torch.inference_mode()
    def _probe(self) -> None:
        """Make sure that the last frame is that of the last sound.

        In layer 0, where a frame sees little of the sound, it moves with the end of the sound, and no other
        frame moves much more.

        Raises:
            UserError: it does not, or the model cannot be run on sound alone.
        """
        if next(iter(inspect.signature(self.model.forward).parameters)) == "input_ids":
            raise UserError(f"{self.card['model']}: takes tokens of text, not sound alone; use another model")
        n = max(round(min(self.window_s, _PROBED_S) * RATE), self.minimum)
        sounds = np.random.default_rng(0).normal(0, 0.1, (2, n)).astype(np.float32)
        sounds[1, :-_CHANGED] = sounds[0, :-_CHANGED]
        try:
            values, arguments, mask = self._inputs(list(sounds))
            output = self._run(values, arguments, range(self.card["n_layers"] + 1))
            states = [*output.hidden_states, output.last_hidden_state]
            moved = (states[0][0] - states[0][1]).abs().float().amax(-1)
            last = int(self._last(mask, len(moved))[0])
            finite = all(x[:, : last + 1].isfinite().all() for x in states)
            right = bool(moved[last] > 0.1 * moved.max())
        except UserError:
            raise
        except Exception as error:  # each architecture has exceptions of its own
            if isinstance(error, RuntimeError) and is_out_of_memory(error):
                raise
            raise UserError(
                f"{self.card['model']}: cannot be run on sound alone; use another model ({first_line(error)})"
            ) from None
        if not finite:
            raise UserError(f"{self.card['model']}: {why_not_finite(self.dtype, 'speech')}")
        if not right:
            raise UserError(
                f"{self.card['model']}: the end of a sound does not change its last frame as it should; "
                "use a model whose frames follow the sound"
            )

    def _last(self, mask: torch.Tensor | None, n_out: int) -> torch.Tensor:
        """(batch,) index of the last of `n_out` frames that is centred on sound; (1,) where all are."""
        if mask is None:
            return torch.tensor([n_out - 1])
        return last_valid(self.model, mask.sum(-1), mask.shape[-1], n_out)

    @property
    def minimum(self) -> int:
        """Fewest samples that give a frame."""
        return max(MINIMUM, self.receptive) if self.takes_waveform else MINIMUM

    def _inputs(self, windows: Sequence[np.ndarray]) -> _Inputs:
        """Model input, further arguments, and the frames that hold sound (None: all)."""
        settings: dict[str, Any] = {"sampling_rate": RATE, "return_tensors": "pt"}
        if self.takes_waveform:  # windows of one length: nothing is padded, no mask is needed
            values = self.extractor(list(windows), **settings)["input_values"]
            return values.to(self.device, self.dtype), {}, None
        if "device" in inspect.signature(self.extractor.__call__).parameters:
            settings["device"] = str(self.device)
        made = self.extractor(list(windows), return_attention_mask=True, **settings)
        values = made[self.extractor.model_input_names[0]].to(self.device, self.dtype)
        if "attention_mask" not in made:
            raise UserError(
                f"{self.card['model']}: its feature extractor does not say which frames are padding; "
                "use another model"
            )
        mask = made["attention_mask"].to(self.device)
        takes_mask = "attention_mask" in inspect.signature(self.model.forward).parameters
        return values, {"attention_mask": mask} if takes_mask else {}, mask

    def __call__(self, windows: Sequence[np.ndarray]) -> np.ndarray:
        """Last valid frame of each window at each layer.

        Args:
            windows: sounds (samples,) float32 of one length (any length for encoders that pad to a chunk).

        Returns:
            (windows, layers, width) float32.
        """
        return self._last_frames(*self._inputs(windows)).cpu().numpy()

    @torch.inference_mode()
    def _last_frames(
        self, values: torch.Tensor, arguments: Mapping[str, Any], mask: torch.Tensor | None
    ) -> torch.Tensor:
        """(windows, layers, width) float32 on the device."""
        output = self._run(values, arguments, self.layers)
        rows, kept = torch.arange(len(values)), []
        for layer in self.layers:
            # What leaves the encoder has passed its final norm; the last of `hidden_states` has not where the
            # norms stand in front of the blocks (hubert-large, wavlm-large, ...).
            x = output.last_hidden_state if layer == self.card["n_layers"] else output.hidden_states[layer]
            last = self._last(mask, x.shape[1]).expand(len(x))
            kept.append(x[rows.to(x.device), last.to(x.device)].to(self.device, torch.float32))
        return torch.stack(kept, 1)

    def _run(self, values: torch.Tensor, arguments: Mapping[str, Any], layers: Sequence[int]) -> Any:
        try:
            return self.model(values, output_hidden_states=list(layers), **arguments)
        except NotImplementedError:
            # torch's error for weights that are not in memory: WavLM's attention reads its weights without
            # the modules that would load them.
            raise UserError(
                f"{self.card['model']}: cannot be run with weights on disk; raise features.max_memory.cpu, "
                "or leave features.device_map out"
            ) from None

    @torch.inference_mode()
    def front_end(self, samples: np.ndarray) -> torch.Tensor:
        """Convolve a whole sound once, a window's frames at a time: so it takes no more memory than a window.

        Returns:
            (channels, frames) on the device.
        """
        frames, piece = (
            (n - self.receptive) // self.hop + 1 for n in (len(samples), round(self.window_s * RATE))
        )
        parts = []
        for first in range(0, frames, piece):
            last = min(first + piece, frames) - 1
            part = torch.from_numpy(samples[first * self.hop : last * self.hop + self.receptive])
            parts.append(self.model.feature_extractor(part[None].to(self.device, self.dtype))[0])
        return torch.cat(parts, -1)

    def cutter(self, samples: np.ndarray) -> Callable[[np.ndarray, np.ndarray], _Inputs]:
        """Function of windows' starts and stops in `samples` that gives the model's inputs."""
        if not self.shares_front_end:
            return lambda starts, stops: self._inputs(
                [samples[a:b] for a, b in zip(starts, stops, strict=True)]
            )
        if self.normalises:  # as the feature extractor does it to a window
            samples = ((samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)).astype(np.float32)
        story = self.front_end(samples)

        @torch.inference_mode()
        def cut(starts: np.ndarray, stops: np.ndarray) -> _Inputs:
            first = starts // self.hop
            count = (stops - starts - self.receptive) // self.hop + 1
            slices = [story[:, a : a + n] for a, n in zip(first, count, strict=True)]
            return torch.stack(slices), {}, None

        return cut

    def reader(self, samples: np.ndarray) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """Function of windows' starts and stops in `samples` that gives their last frames, as a call does."""
        cut = self.cutter(samples)
        return lambda starts, stops: self._last_frames(*cut(starts, stops)).cpu().numpy()

    def batch_size(self) -> int:
        """Full windows that pass together.

        It follows from their size alone: rounding depends on it, and a study run twice has the same bytes.
        """
        config, budget = self.model.config, CPU_BATCH_BYTES
        if self.device.type == "cuda":
            budget = torch.cuda.get_device_properties(self.device).total_memory / 4
        each = window_bytes(
            config.to_dict(), config.hidden_size, self.card["n_layers"], self.window_s, self.dtype.itemsize
        )
        return windows_per_batch(each, budget)

    @torch.inference_mode()
    def features(
        self, samples: np.ndarray, windows: SoundWindows, clock: np.ndarray, batch: int, what: str = "windows"
    ) -> dict[int, np.ndarray]:
        """Features of one sound on a TR clock.

        Args:
            samples: (samples,) float32 at 16 kHz.
            clock: (m,) s, middle of each TR.
            batch: windows passed together.

        Returns:
            layer -> (m, width) float32.
        """
        weights = lanczos_weights(windows.times, clock).astype(np.float32)  # (m, windows)
        total: torch.Tensor | None = None
        cut = self.cutter(samples)
        groups = list(windows.batches(batch, self.chunk_samples is not None))
        # The next windows are cut and normalised during a pass, and sums stay on the device to the end.
        ready = prepare_ahead(groups, lambda group: cut(windows.start[group], windows.stop[group]))
        for group, inputs in bar(ready, what, len(groups), unit="batch"):
            frames = self._last_frames(*inputs)  # (batch, layers, width)
            if total is None:
                total = frames.new_zeros(len(clock), *frames.shape[1:])
            rows = np.flatnonzero(weights[:, group].any(axis=1))
            own = torch.from_numpy(weights[np.ix_(rows, group)]).to(frames.device)
            total.index_add_(0, torch.from_numpy(rows).to(frames.device), torch.tensordot(own, frames, 1))
        assert total is not None  # there is always a window
        sums = total.cpu().numpy()
        if not np.isfinite(sums).all():
            raise UserError(f"{self.card['model']}: {why_not_finite(self.dtype, 'speech')}")
        return {layer: sums[:, i] for i, layer in enumerate(self.layers)}
