"""From a model card to a model on its device."""

import contextlib
import functools
import os
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from voxscale.errors import UserError, first_line
from voxscale.models.digests import require_unchanged, stored_dtypes
from voxscale.models.opening import NO_OWN_CODE, open_config, refuse_own_code
from voxscale.models.quiet import silence
from voxscale.models.shape import encoder_of, published_dtype
from voxscale.models.spread import size_bytes


def _has_gpu_of_slurm() -> bool:
    """Whether SLURM gave this job a GPU: two variables name them, one counts them."""
    named = any(os.environ.get(name) for name in ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS"))
    return named or os.environ.get("SLURM_GPUS_ON_NODE", "0") not in ("", "0")


@functools.cache
def _tell_unseen_gpu() -> None:
    """Warn, once in a process, of a GPU that the job has and torch does not see."""
    if _has_gpu_of_slurm():
        print(
            f"WARNING config key features.device: auto: SLURM gave a job on {os.uname().nodename} a GPU that "
            "torch does not see, so the CPU makes its features; check the driver there and that torch is a "
            "build for CUDA",
            file=sys.stderr,
        )


def resolve_device(device: str) -> torch.device:
    """`auto` is CUDA if it is available, else the CPU.

    A job whose GPU cannot be used prints a warning, and continues slowly.

    Raises:
        UserError: the named device is not available.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        _tell_unseen_gpu()
        return torch.device("cpu")
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"config key features.device: {device} cannot be used; use auto ({first_line(error)})"
        ) from None
    return found


def resolve_dtype(dtype: str, device: torch.device, config: Any) -> torch.dtype:
    """`auto` is float32 on the CPU, and on a GPU the dtype that the weights were published in.

    So a GPU rounds no weight further than its authors did, and never runs a bfloat16 model in float16.
    """
    if dtype == "auto":
        dtype = "float32" if device.type == "cpu" else published_dtype(config)
    return getattr(torch, dtype)


def free_bytes(device: torch.device) -> int:
    """Memory that is free on the device now."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    import psutil

    return psutil.virtual_memory().available


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether it is a failed allocation: `torch.OutOfMemoryError` on a GPU, a plain RuntimeError on a CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


@contextlib.contextmanager
def offload_folder(parent: str | Path) -> Iterator[Path]:
    """A temporary folder of this process for weights that are kept on disk."""
    parent = Path(parent)
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".offload-", dir=parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _per_device(most: Mapping[str, str]) -> dict[int | str, int] | None:
    """`{gpu, cpu}` as `accelerate` has it, each GPU by its number, in bytes: at most all that is free."""
    if not most:
        return None
    from accelerate.utils import get_max_memory

    limits = {kind: size_bytes(text) for kind, text in most.items()}
    free = get_max_memory()
    return {
        name: min(size, limits.get("cpu" if name == "cpu" else "gpu", size)) for name, size in free.items()
    }


def _place(
    model: Any, device_map: Any, max_memory: dict[int | str, int] | None, offload: str | Path | None
) -> Any:
    """Put a model that was made in memory where `from_pretrained` would put a published one."""
    from accelerate import dispatch_model, infer_auto_device_map
    from accelerate.utils import get_balanced_memory, offload_state_dict

    if isinstance(device_map, str):
        whole = {"no_split_module_classes": model._no_split_modules}
        if device_map != "sequential":
            low_zero = device_map == "balanced_low_0"
            max_memory = get_balanced_memory(model, max_memory, low_zero=low_zero, **whole)
        device_map = infer_auto_device_map(model, max_memory, **whole)
    if device_map.get("") == "disk":  # of the model as a whole `dispatch_model` writes nothing
        offload_state_dict(offload, model.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of parameters that lie in no module
        return dispatch_model(
            model, device_map, offload_dir=offload, skip_keys=model._skip_keys_device_placement
        )


# Parameters that only training reads; they do not affect a pass in eval mode.
_TRAINING_ONLY = ("masked_spec_embed",)
_FULL = ("F64", "F32", "F16", "BF16")  # dtypes in a file that need no scale
_NAMED = 3  # weights that a message names


def _first(names: Iterable[str]) -> str:
    names = sorted(names)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _in_encoder(model: Any, name: str) -> bool:
    """Whether a parameter is part of the encoder; in a model without a decoder all are."""
    encoder = encoder_of(model)
    prefix = next(prefix for prefix, module in model.named_modules() if module is encoder)
    return not prefix or name.startswith(f"{prefix}.")


def _check_loaded(
    model: Any, report: Mapping[str, Any], card: Mapping[str, Any], stored: Mapping[str, str]
) -> None:
    """Refuse a model whose files lack weights: transformers fills them with random numbers.

    Args:
        report: names of weights that `from_pretrained` found, missed and could not use.
        stored: dtype of each weight in the files.

    Raises:
        UserError: weights that change the features are missing, have another shape, or are whole numbers.
    """
    names = {name for name, _ in model.named_parameters()}
    head = f"{model.base_model_prefix}."  # which the files may have or lack
    names |= {name.removeprefix(head) for name in names} | {head + name for name in names}
    coarse = [name for name, dtype in stored.items() if dtype not in _FULL and name in names]
    if coarse and not getattr(model.config, "quantization_config", None):
        raise UserError(
            f"{card['path']}: has {stored[coarse[0]]} numbers for {_first(coarse)}, and its config.json does "
            "not say how these are quantized; get the whole model again"
        )
    missing = {
        name
        for name in report["missing_keys"]
        if not name.endswith(_TRAINING_ONLY) and _in_encoder(model, name)
    }
    wrong = {name for name, *_ in report["mismatched_keys"]}
    unused = report["unexpected_keys"]
    if missing or wrong:
        what = f"has no weights for {_first(missing)}" if missing else f"has other shapes for {_first(wrong)}"
        instead = f", but has {_first(unused)}, which this model does not have" if unused else ""
        raise UserError(
            f"{card['path']}: {what}{instead}; these would be random numbers: "
            f"get the whole model again, or correct the entry of {card['model']}"
        )
    if unused:
        print(f"{card['model']}: weights in its files that are not used: {_first(unused)}", file=sys.stderr)


def load_model(
    card: Mapping[str, Any],
    auto_class: Any,
    settings: Mapping[str, Any],
    offload: str | Path | None = None,
) -> Any:
    """Load a card's model for inference.

    Args:
        auto_class: `AutoModelForCausalLM`, `AutoModel`, ...
        settings: `device`, `dtype`, `device_map` and `max_memory` of the config's `features`. A model that
            does not fit the device gets the device map `auto` by itself.
        offload: folder for what goes to disk.

    Raises:
        UserError: the files are gone, have changed or are not this model.
    """
    silence()
    require_unchanged(card)
    device, device_map = resolve_device(settings["device"]), settings.get("device_map")
    config = open_config(card["path"])
    if type(config) not in auto_class._model_mapping:
        raise UserError(
            f"{card['path']}: is of type {config.model_type}, which transformers' {auto_class.__name__} "
            "does not open; use another model"
        )
    kind = resolve_dtype(settings.get("dtype", "auto"), device, config)
    needed = (card.get("parameters_whole") or 0) * kind.itemsize
    if device_map is None and device.type != "cpu" and needed > 0.9 * free_bytes(device):
        print(
            f"{card['model']}: {needed / 1e9:.0f} GB do not fit {device}; spreading it out", file=sys.stderr
        )
        device_map = "auto"
    limits = _per_device(settings.get("max_memory") or {})
    if card.get("untrained"):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(card["seed"])
            model = auto_class.from_config(config, dtype=kind, **NO_OWN_CODE).eval()
        return _place(model, device_map, limits, offload) if device_map else model.to(device)
    if device_map is None and getattr(config, "quantization_config", None):
        device_map = {"": str(device)}  # quantized weights are put where they belong, never moved
    placed = {
        "device_map": device_map,
        "max_memory": limits,
        "offload_folder": offload,
    }
    stored = stored_dtypes(card["path"])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside the libraries, none of the user's making
            model, report = auto_class.from_pretrained(
                card["path"],
                dtype=kind,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # reported, and refused in plain words
                **NO_OWN_CODE,
                **(placed if device_map else {}),
            )
    except Exception as error:  # each format and kind of quantization has exceptions of its own
        refuse_own_code(error, card["path"])
        raise UserError(
            f"{card['path']}: its weights cannot be loaded; get the whole model again ({first_line(error)})"
        ) from None
    _check_loaded(model, report, card, stored)
    return model.eval() if device_map else model.eval().to(device)
