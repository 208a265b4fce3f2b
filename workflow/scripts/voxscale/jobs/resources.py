"""What a job takes: memory, minutes, GPUs, disk and threads, as functions of a few numbers.

Bytes follow from shapes and dtypes, seconds from flops and bytes. Memory is an upper bound, meant to lie
between one and three times what is measured (`voxscale usage` compares). ASSUME the rates below: on a slower
machine jobs take longer than predicted, but requests leave room, and a job that runs out of memory or time
gets more at its retry.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voxscale.errors import UserError, naming
from voxscale.features import window_bytes, windows_per_batch
from voxscale.models import item_bytes, spread_weights
from voxscale.ridge import most_host_bytes, seconds_on_card

MB = 1e6
PLAIN = 220  # MB: Python, numpy, pyarrow, h5py
PLOTS = 420  # MB: with matplotlib, nilearn and their fonts and meshes
NETWORK = 620  # MB: with torch and transformers
# MB of host memory that a GPU needs: CUDA's libraries and context. ASSUME: not measured.
CUDA = 2_000
SNAKEMAKE = 300  # MB added to each cluster job, for the two Snakemakes that start it
START_S = 15.0  # s: start-ups, imports from a shared disk
CPU_FLOPS = 30e9  # flops per second and core, single precision, in matrix products
GPU_FLOPS = 4e13  # of one GPU in half precision, as forward passes reach it
GPU_FLOPS_SINGLE = 1e13  # the same in single precision
CARD_THREADS = 4  # of a fit on a GPU: they read and scale responses ahead of it
CARD_SLOWER = 1.9  # a whole fit on an H200 over the arithmetic alone (33 s over 18 s, docs/benchmarks.md)
DISK_BYTES = 1e8  # bytes per second of a shared disk
WORDS_PER_S = 3.2  # fast speech
TOKENS_PER_WORD = 1.5
# Per second of sound, to read it at rates up to 96 kHz, and for its spectrum in mel bands.
SOUND_BYTES = 6.5e5
ALIGNED_MB = 64  # requests are rounded up to this


@dataclass(frozen=True)
class Need:
    """What one job takes.

    Attributes:
        memory_mb: of the job's own processes.
        seconds: from start to end, with `threads`.
        threads: cores.
        gpus: GPUs.
        disk_mb: that its outputs take and keep; of an extraction also what its weights take meanwhile.
    """

    memory_mb: float
    seconds: float
    threads: int = 1
    gpus: int = 0
    disk_mb: float = 0.0

    def requested_mb(self, attempt: int = 1) -> int:
        """Memory to ask a cluster for: with Snakemake's own, and half as much again at each retry."""
        return ALIGNED_MB * math.ceil((self.memory_mb + SNAKEMAKE) * (1 + 0.5 * (attempt - 1)) / ALIGNED_MB)

    def requested_minutes(self, attempt: int = 1) -> int:
        """Time to ask a cluster for: three times the estimate and five minutes, twice that at each retry."""
        return math.ceil(5 + 3 * self.seconds / 60) * 2 ** (attempt - 1)


def plain(
    bytes_in: float = 0.0,
    bytes_out: float = 0.0,
    held: float = 0.0,
    seconds: float = 0.0,
    base: float = PLAIN,
) -> Need:
    """A job that reads, computes a little and writes.

    Args:
        held: bytes in memory at once.
        seconds: of computing.
        base: MB of the process before it holds anything.
    """
    time = START_S + seconds + (bytes_in + bytes_out) / DISK_BYTES
    return Need(base + held / MB, time, disk_mb=bytes_out / MB)


def parameters(width: int, n_layers: int, vocab: int = 0, config: Mapping[str, Any] | None = None) -> float:
    """Parameters of a transformer, to a few percent; the model card counts them exactly.

    Args:
        config: further settings; those with the width of the MLP are read.
    """
    config = config or {}
    gated = "intermediate_size" in config and vocab > 0  # like LLaMA: three matrices in the MLP
    inner = config.get("intermediate_size") or config.get("ffn_dim") or config.get("encoder_ffn_dim")
    inner = inner or 4 * width
    layer = 4 * width**2 + (3 if gated else 2) * width * inner
    return n_layers * layer + vocab * width * (2 if gated else 1)


def feature_bytes(width: int, layers: int, trs: Sequence[int], dtype: str) -> float:
    """Bytes of all layers of all stories on disk."""
    return float(sum(trs)) * width * layers * item_bytes(dtype)


def extraction(
    modality: str,
    width: int,
    n_layers: int,
    n_parameters: float,
    vocab: int,
    trs: Sequence[int],
    tr_s: float,
    settings: Mapping[str, Any],
    threads: int | None = None,
    weight_bytes: int = 2,
    loaded: float = 0.0,
    config: Mapping[str, Any] | None = None,
    untrained: bool = False,
) -> Need:
    """Features of one model for all stories.

    Args:
        modality: language or speech.
        trs: TRs of each story on the stimulus clock.
        settings: of `features.text` or `features.speech`, and those of `features` that all models have.
        threads: cores; None for as many as the work is worth.
        weight_bytes: of a published weight, which a GPU runs where the dtype is `auto`.
        loaded: parameters in memory, if more than pass.
        config: further settings of the architecture.
        untrained: whether all weights are drawn in memory, and only then spread.
    """
    gpu = str(settings["device"]) != "cpu"
    seconds_of_sound = float(sum(trs)) * tr_s
    longest = max(trs, default=1)
    dtype = settings.get("dtype", "auto")
    item = weight_bytes if gpu and dtype == "auto" else item_bytes(dtype)
    if modality == "language":
        # Half of each pass repeats context.
        units = seconds_of_sound * WORDS_PER_S * TOKENS_PER_WORD * 2
        at_once, passes = longest * tr_s * WORDS_PER_S, units / 2048
        batch = 2048 * (24 * 4 * width + (8 * vocab if settings.get("bits_per_character") else 0))
    else:
        frames = 50.0 * settings["window_s"]  # per window
        units = seconds_of_sound / settings["stride_s"] * frames
        each = window_bytes(config or {}, width, n_layers, settings["window_s"], item)
        windows = windows_per_batch(each, math.inf) if gpu else windows_per_batch(each)
        at_once, passes = longest * tr_s / settings["stride_s"], units / frames / windows
        batch = windows * each + SOUND_BYTES * longest * tr_s
    flops = 2.0 * n_parameters * units
    threads = threads or worth_threads(flops, 4 if gpu else 16)
    weights = max(n_parameters, loaded) * item
    rate = (GPU_FLOPS_SINGLE if item == 4 else GPU_FLOPS) if gpu else CPU_FLOPS * threads
    stored = feature_bytes(width, n_layers + 1, trs, settings["on_disk"])
    # One story's layers on the clock, being summed and being saved; one batch's states, not yet summed.
    held = 2 * 4.0 * longest * width * (n_layers + 1) + min(at_once, 4096) * width * (n_layers + 1) * 4
    limits = settings.get("max_memory") or {}
    gpus, memory, spilled = spread_weights(weights, gpu, settings.get("device_map"), limits)
    held += max(memory, weights if untrained else 0) + (0 if gpu else batch)
    # Weights on disk are read at each pass.
    time = START_S + flops / rate + (weights + stored + passes * spilled) / DISK_BYTES
    return Need(NETWORK + (CUDA if gpu else 0) + held / MB, time, threads, gpus, (stored + spilled) / MB)


def fit_flops(n: int, p: int, m: int, voxels: int, alphas: int, folds: int) -> float:
    """Flops of one ridge fit, float64 ones counted twice: see `voxscale.ridge.cost`."""
    h = n / folds
    t = n - h
    if p < t:
        once = 20 * p**3 * (folds + 1) + 8 * n * p**2 + 2 * alphas * folds * min(h, p) * p**2
        each = 4 * n * p + 2 * alphas * folds * min(h, p) * p
    else:
        once = alphas * 2 * (n**3 + folds * (2 * h * h * t + h**3))
        each = 2 * alphas * folds * h * t + 2 * n * m
    return float(once) + float(each) * voxels


def worth_threads(flops: float, most: int = 16) -> int:
    """Cores that are worth giving to this much work: one until it takes two minutes, doubled from there."""
    cores = flops / CPU_FLOPS / 120
    return int(min(most, 2 ** max(0, math.ceil(math.log2(cores))))) if cores > 1 else 1


def cell_flops(
    train: int,
    test: int,
    width: int,
    voxels: int,
    encoding: Mapping[str, Any],
    n_draws: int = 1,
    permutations: int = 0,
) -> float:
    """Flops of one cell, all its draws."""
    alphas, folds = encoding["alphas"]["n"], encoding["folds"]["n"]
    once = fit_flops(train, width * len(encoding["delays"]), test, voxels, alphas, folds)
    return n_draws * (once + 0.1 * permutations * test * voxels)  # block sums are permuted, not TRs


def fit_time(
    lengths: Sequence[int],
    test: int,
    width: int,
    voxels: int,
    encoding: Mapping[str, Any],
    n_draws: int = 1,
    block_trs: int = 10,
    permutations: int = 0,
) -> tuple[float, int]:
    """Seconds of one cell without the start of its job, and the cores that it is worth; see `fit`."""
    train = sum(lengths)
    if fits_on_card(encoding):
        seconds = n_draws * card_seconds(lengths, test, width, voxels, encoding)
        threads = CARD_THREADS
    else:
        flops = cell_flops(train, test, width, voxels, encoding, n_draws, permutations)
        threads = worth_threads(flops)
        seconds = flops / CPU_FLOPS / threads
    moved = 4.0 * (train + test) * (voxels + width) + 2 * fit_disk(test, voxels, n_draws, block_trs)
    return seconds + moved / DISK_BYTES, threads


def fit_disk(test: int, voxels: int, n_draws: int, block_trs: int) -> float:
    """Bytes of a cell's scores and moments."""
    return n_draws * voxels * (45.0 + 20 * math.ceil(test / block_trs))


def fit(
    lengths: Sequence[int],
    test: int,
    width: int,
    voxels: int,
    encoding: Mapping[str, Any],
    n_draws: int = 1,
    union: int = 0,
    block_trs: int = 10,
    permutations: int = 0,
    shared: float = 0.0,
) -> Need:
    """One cell: ridge on every draw of its training stories, scores and moments of all voxels.

    Args:
        lengths: training TRs of each story of the largest draw.
        union: training TRs of all draws together.
        encoding: complete `encoding` block of the config.
        shared: bytes that its job keeps in memory for several cells.

    Raises:
        UserError: `encoding.memory_gb` is too little for this cell.
    """
    train = sum(lengths)
    seconds, threads = fit_time(lengths, test, width, voxels, encoding, n_draws, block_trs, permutations)
    own = voxels * (64.0 + 40 * math.ceil(test / block_trs)) + shared
    kernel = union if n_draws > 1 and union**2 <= n_draws * train**2 else 0
    if on_card := fits_on_card(encoding):
        most = own + most_host_bytes(_sizes(lengths, test, width, voxels, encoding))
        bound = min(1e9 * encoding["memory_gb"], most)  # the fit plans its blocks so that they fit into it
    else:
        try:
            bound = own + fit_bytes(lengths, test, width, voxels, encoding, own, kernel)
        except UserError:
            if not kernel:
                raise
            # A kernel shared between draws is left out if it does not fit.
            bound = own + fit_bytes(lengths, test, width, voxels, encoding, own)
    memory, disk = bound + 90.0 * n_draws * voxels, fit_disk(test, voxels, n_draws, block_trs)
    return Need(memory / MB, START_S + seconds, threads, int(on_card), disk / MB)


def fit_bytes(
    lengths: Sequence[int],
    test: int,
    width: int,
    voxels: int,
    encoding: Mapping[str, Any],
    own: float = 0.0,
    union: int = 0,
) -> float:
    """Bytes of a fit as the solver plans it, in any precision of the screen.

    Args:
        own: bytes that the cell takes in addition to the solver, within the same `encoding.memory_gb`.
        union: rows of a kernel that draws share; 0 for none.

    Raises:
        UserError: `encoding.memory_gb` is too little, or the folds are too many.
    """
    import torch

    from voxscale.ridge import make_plan

    sizes = _sizes(lengths, test, width, voxels, encoding, union)
    memory_gb = encoding["memory_gb"] - own / 1e9
    how = memory_gb, encoding["form"], encoding["screen"], encoding["precision"], torch.device("cpu")
    with naming("config key encoding.memory_gb"):
        return max(
            make_plan(sizes, *how, low=low).bytes for low in (torch.int8, torch.bfloat16, torch.float32)
        )


def fits_on_card(encoding: Mapping[str, Any]) -> bool:
    """Whether fits ask for a GPU: where the config names it as their device."""
    return encoding["device"].startswith("cuda")


def fit_hours(
    lengths: Sequence[int],
    test: int,
    width: int,
    voxels: int,
    encoding: Mapping[str, Any],
    n_draws: int,
    permutations: int,
) -> tuple[float, float]:
    """Core-hours of one cell on CPUs, and its GPU-hours on a GPU, without its job's start; see `fit`."""
    read = 4.0 * (sum(lengths) + test) * (voxels + width) / DISK_BYTES
    cores = cell_flops(sum(lengths), test, width, voxels, encoding, n_draws, permutations) / CPU_FLOPS
    card = n_draws * card_seconds(lengths, test, width, voxels, encoding)
    return (cores + read) / 3600, (card + read) / 3600


def card_seconds(
    lengths: Sequence[int], test: int, width: int, voxels: int, encoding: Mapping[str, Any]
) -> float:
    """Seconds of one fit on a GPU as fast as an H200, its responses in the page cache."""
    sizes = _sizes(lengths, test, width, voxels, encoding)
    return CARD_SLOWER * min(seconds_on_card(form, sizes, True) for form in ("dual", "primal"))


def _sizes(
    lengths: Sequence[int],
    test: int,
    width: int,
    voxels: int,
    encoding: Mapping[str, Any],
    union: int = 0,
) -> Any:
    from voxscale.ridge import RidgeSizes

    return RidgeSizes(
        n=sum(lengths),
        d=width,
        delays=len(encoding["delays"]),
        m=test,
        voxels=voxels,
        alphas=encoding["alphas"]["n"],
        folds=_fold_sizes(tuple(lengths), tuple(encoding["folds"].items())),
        union=union,
    )


@functools.cache
def _fold_sizes(lengths: tuple[int, ...], settings: tuple[Any, ...]) -> tuple[tuple[int, int], ...]:
    """Held-out and training TRs of each fold; the same for all widths."""
    from voxscale.ridge import make_folds

    with naming("config key encoding.folds"):
        folds = make_folds(lengths, dict(settings), 0)
    return tuple((len(fold.held), len(fold.train)) for fold in folds)
