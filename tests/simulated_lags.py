"""Stories of words at known times, and voxels that follow their rate, with the phantom's haemodynamics."""

from __future__ import annotations

import json
from types import SimpleNamespace

import h5py
import numpy as np

from voxscale.features.controls import TrTimes, event_rate
from voxscale.io import tables
from voxscale.phantom import brain, patches
from voxscale.scores import lags

TR_S, DELAYS, TRIM = 2.0, (1, 2, 3, 4), (10, 5)
SETTINGS = {"delays": DELAYS, "tr_s": TR_S, "block_trs": 10, "draws": 500, "seed": 0, "interval": 0.9}


def said(trs, rng):
    """Times (s) of a story's words: phrases with pauses between them."""
    gaps = rng.gamma(2.0, 0.15, size=int(trs * TR_S * 4))
    gaps[rng.random(len(gaps)) < 0.06] += rng.gamma(2.0, 1.0)
    times = np.cumsum(gaps)
    return times[times < trs * TR_S]


def made(stories=6, trs=150, voxels=60, share=0.1, late_s=None, seed=0):
    """Clock, times of words and responses (voxels, TRs) of each story.

    Args:
        share: of the variance of every other voxel that follows the word rate.
        late_s: story -> seconds by which its responses come later than its words say.
    """
    rng = np.random.default_rng(seed)
    start = TR_S * (np.arange(trs + sum(TRIM)) - TRIM[0])
    clock = TrTimes(start, start + TR_S / 2, start + TR_S)
    fir = brain.draw_subject(patches.place_voxels(voxels, rng), rng).fir
    follows = (np.arange(voxels) % 2 == 0) * np.sqrt(share)
    words, heard = {}, {}
    for story in (f"s{i}" for i in range(stories)):
        words[story] = said(trs, rng)
        rate = event_rate(words[story] + (late_s or {}).get(story, 0.0), clock)
        signal = brain.respond(np.repeat(rate, voxels, 1), fir)
        noise = rng.standard_normal((trs, voxels)) + 0.5 * rng.standard_normal((trs, 1))
        for t in range(1, trs):
            noise[t] += 0.4 * noise[t - 1]
        values = follows * signal / signal.std(0) + np.sqrt(1 - follows**2) * noise / noise.std(0)
        heard[story] = values.T.astype(np.float32)
    return clock, words, heard


def judged(**design):
    """What the scan finds of each story and of all together, by name."""
    clock, words, heard = made(**design)
    inside = np.zeros(len(clock.start), bool)
    inside[TRIM[0] : -TRIM[1]] = True
    rates = {}
    for story, times in words.items():
        rate = np.stack([event_rate(times + shift, clock)[:, 0] for shift in lags.SHIFTS])
        rates[story] = lags.delayed_rate(rate, inside, DELAYS)
    voxels = len(heard["s0"])
    responses = SimpleNamespace(n_voxels=voxels, read=lambda story, part: heard[story][part])
    return {story: found for story, (found, _) in lags.judge_stories(responses, rates, SETTINGS).items()}


def write(folder, **design):
    """The same as files: arguments of `write_lags` but for its outputs, subject and settings."""
    clock, words, heard = made(**design)
    paths = []
    inside = np.arange(len(clock.start))
    inside = (inside >= TRIM[0]) & (inside < len(inside) - TRIM[1])
    for story, times in words.items():
        paths.append((folder / f"{story}-words.parquet", folder / f"{story}-clock.parquet"))
        n, rows = len(times), np.arange(len(clock.start))
        columns = {"story": [story] * n, "index": np.arange(n), "word": ["word"] * n}
        tables.write("words", columns | {"onset_s": times - 0.1, "offset_s": times + 0.1}, paths[-1][0])
        columns = {"story": [story] * len(rows), "row": rows, "onset_s": clock.start, "mid_s": clock.middle}
        tables.write("clock", columns | {"in_response": inside}, paths[-1][1])
    with h5py.File(folder / "S1.h5", "w") as file:
        file.attrs.update(format="voxscale-responses-1", provenance="{}")
        file.attrs.update(stories=json.dumps(list(heard)), test_stories=json.dumps(list(heard)[-1:]))
        file["voxels"] = np.arange(len(heard["s0"]), dtype=np.int32)
        for story, values in heard.items():
            file[f"{story}/data"] = values
            file[story].attrs.update(n_trs=values.shape[1], n_repeats=0)
    return folder / "S1.h5", list(heard), *zip(*paths, strict=True)
