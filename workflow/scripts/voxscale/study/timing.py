"""What follows from the length of a TR: the delays of a fit, and whether those of the config fit it."""

from collections.abc import Mapping
from typing import Any

from voxscale.dataset import Dataset

# ASSUME: the haemodynamic response peaks 5 to 6 s after a word and has passed most of its height by 8 s: the
# four delays of 2 s that are usual in the field.
_PEAK_S, _REACH_S = 6.0, 8.0


def usual_delays(tr_s: float) -> list[int]:
    """Delays in TRs from one TR to about 8 s: 1 to 4 at a TR of 2 s."""
    return list(range(1, max(1, round(_REACH_S / tr_s)) + 1))


def with_timing(config: Mapping[str, Any], dataset: Dataset) -> dict[str, Any]:
    """The config with the dataset's TR and, where it names no delays, the usual ones."""
    encoding = {"delays": usual_delays(dataset.tr_s), **config["encoding"]}
    timed = {"dataset": {**config["dataset"], "tr_s": dataset.tr_s}, "encoding": encoding}
    # Sorted like all blocks of a complete config: their order is part of a job's parameters.
    return {**config, **{name: dict(sorted(block.items())) for name, block in timed.items()}}


def timing_notes(config: Mapping[str, Any]) -> list[str]:
    """A sentence on delays that miss the peak of the response."""
    tr_s, delays = config["dataset"]["tr_s"], config["encoding"]["delays"]
    first_s, last_s = min(delays) * tr_s, max(delays) * tr_s
    if first_s <= _PEAK_S <= last_s + 1e-6:
        return []
    usual = usual_delays(tr_s)
    return [
        f"Delays of {first_s:g} to {last_s:g} s (config key encoding.delays, at a TR of {tr_s:g} s) miss the "
        f"peak of the response at about {_PEAK_S:g} s; leave the key out for 1 to {usual[-1]} TRs."
    ]
