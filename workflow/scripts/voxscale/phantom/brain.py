"""A subject of the phantom: what drives each voxel, its haemodynamics, its signal and its noise.

Shapes: T clock TRs of a story, R response TRs, V voxels, D latent dimensions, B mel bands, K delays.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from voxscale.phantom import latents
from voxscale.phantom.patches import PlacedVoxels

DELAYS = (1, 2, 3, 4)
_FIR = np.array([0.45, 1.0, 0.75, 0.3])  # over 2 to 8 s, its peak at 4 s


@dataclass(frozen=True)
class PhantomSubject:
    """The generating truth of one subject; arrays have a voxel per entry or column.

    Attributes:
        voxels: their places, and the region that decides what drives them.
        fir: (K, V) weight of each delay.
        latent: (D, V) weight of each latent dimension; 0 where words drive nothing.
        bands: (B, V) weight of each mel band; 0 where the sound drives nothing.
        signal: (V,) variance of the signal in one repeat, 0 in silent voxels; signal plus noise is 1.
        noise: (V,) variance of the noise in one repeat.
        memory: (V,) correlation of the noise with itself one TR earlier.
        scale: (V,) unit of the published values; powers are in units of its square.
    """

    voxels: PlacedVoxels
    fir: np.ndarray
    latent: np.ndarray
    bands: np.ndarray
    signal: np.ndarray
    noise: np.ndarray
    memory: np.ndarray
    scale: np.ndarray


def delayed(drive: np.ndarray, delay: int) -> np.ndarray:
    """(T, n) `drive` shifted by `delay` TRs, zeros before its start."""
    moved = np.zeros_like(drive)
    moved[delay:] = drive[: len(drive) - delay]
    return moved


def respond(drive: np.ndarray, fir: np.ndarray) -> np.ndarray:
    """Haemodynamic response (R, V) to a drive (T, V) on the stimulus clock."""
    total = sum(weight * delayed(drive, delay) for delay, weight in zip(DELAYS, fir, strict=True))
    return total[latents.RESPONSE]


def draw_subject(voxels: PlacedVoxels, rng: np.random.Generator) -> PhantomSubject:
    """Draw a subject's generating weights and powers; `signals` scales the signal to its power."""
    n = len(voxels.vertex)
    fir = _FIR[:, None] * rng.lognormal(0, 0.2, (len(DELAYS), n))
    # Signs are random, magnitudes those of the spectrum: all voxels have the same line of expected scores.
    latent = latents.spectrum()[:, None] * rng.choice([-1.0, 1.0], (latents.DIMENSIONS, n))
    # Tonotopy: each auditory voxel is tuned to a band that depends on its place within the patch.
    band = np.arange(latents.BANDS)[:, None]
    best = np.zeros(n)
    for area, side in {(a, h) for a, h in zip(voxels.area, voxels.hemisphere, strict=True)}:
        member = (voxels.area == area) & (voxels.hemisphere == side)
        best[member] = np.linspace(0, latents.BANDS - 1, member.sum())
    bands = np.exp(-0.5 * ((band - best) / 1.5) ** 2)
    words = np.isin(voxels.region, ("language", "mixed"))
    sound = np.isin(voxels.region, ("auditory", "mixed"))
    # ASSUME: a share of 0.04 to 0.8 of the variance of one repeat is signal, 0.42 on average: more than in
    # most of cortex, so that half an hour of stories is enough, with as wide a range of ceilings.
    signal = np.where(words | sound, 0.04 + 0.76 * rng.beta(2, 2, n), 0.0)
    return PhantomSubject(
        voxels=voxels,
        fir=fir,
        latent=latent * words,
        bands=bands * sound,
        signal=signal,
        noise=1 - signal,
        memory=rng.uniform(0.2, 0.5, n),
        scale=rng.lognormal(0, 0.1, n),
    )


def signals(
    subject: PhantomSubject, words: Mapping[str, np.ndarray], sounds: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Noise-free responses of each story, (R, V), scaled to each voxel's signal power over all stories.

    Args:
        words: story -> (T, D) latent.
        sounds: story -> (T, B) dB.
    """

    def scaled(part: dict[str, np.ndarray], power: np.ndarray) -> dict[str, np.ndarray]:
        is_now = np.concatenate(list(part.values())).var(0)
        factor = np.sqrt(power / np.where(is_now > 0, is_now, 1))
        return {story: y * factor for story, y in part.items()}

    def driven(drive: Mapping[str, np.ndarray], weights: np.ndarray) -> dict[str, np.ndarray]:
        part = {story: respond(x @ weights, subject.fir) for story, x in drive.items()}
        # Published responses are detrended run by run, so the mean of a story carries no information.
        return scaled({story: y - y.mean(0) for story, y in part.items()}, np.ones(len(subject.signal)))

    by_words, by_sound = driven(words, subject.latent), driven(sounds, subject.bands)
    return scaled({story: by_words[story] + by_sound[story] for story in words}, subject.signal)


def _draw_noise(subject: PhantomSubject, n_trs: int, rng: np.random.Generator) -> np.ndarray:
    """Noise of one repeat (R, V): a stationary AR(1) series with the noise power of each voxel."""
    memory = subject.memory
    series = rng.standard_normal((n_trs, len(memory)))
    series[1:] *= np.sqrt(1 - memory**2)
    for t in range(1, n_trs):
        series[t] += memory * series[t - 1]
    return series * np.sqrt(subject.noise)


def hearings(
    subject: PhantomSubject, signal: np.ndarray, repeats: int, rng: np.random.Generator
) -> np.ndarray:
    """(repeats, R, V) responses in published units: the same signal, each with noise of its own."""
    return np.stack(
        [(signal + _draw_noise(subject, len(signal), rng)) * subject.scale for _ in range(repeats)]
    )


def noise_within(memory: np.ndarray, n_trs: int) -> np.ndarray:
    """(V,) expected variance of unit AR(1) noise about its mean over `n_trs` TRs; below 1."""
    lag = np.arange(1, n_trs)[:, None]
    mean = (1 + 2 * ((1 - lag / n_trs) * memory**lag).sum(0)) / n_trs
    return 1 - mean
