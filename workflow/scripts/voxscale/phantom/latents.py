"""What drives the phantom on the stimulus clock: a latent computed from words, and the sound's spectrum.

Shapes: T clock TRs of a story, D latent dimensions, B mel bands.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from voxscale.dataset import TimedLabel
from voxscale.phantom.speech import RATE_HZ, Speech
from voxscale.timeseries import lanczos_resample

TR_S = 2.0
_BEFORE_S = 10.0  # the stimulus clock begins this long before the sound
_CLOCK_DROPPED = 5  # TRs in respdict.json minus those of the stimulus clock
RESPONSE = slice(10, -5)  # rows of the stimulus clock that the responses keep
DIMENSIONS = 32
BANDS = 12
_LEAK = 0.5  # share of the state that remains after each word
_RARE = 30.0  # a word heard this often has half of its full weight


def respdict_trs(duration_s: float) -> int:
    """TRs of a run as respdict.json counts them: 10 s before the sound, and 10 s and 5 TRs after it."""
    return math.ceil((duration_s + 2 * _BEFORE_S) / TR_S) + _CLOCK_DROPPED


def clock_onsets(duration_s: float) -> np.ndarray:
    """(T,) s, start of each TR of the stimulus clock, from the start of the sound."""
    return TR_S * np.arange(respdict_trs(duration_s) - _CLOCK_DROPPED) - _BEFORE_S


def _vector(word: str, seed: int) -> np.ndarray:
    """(D,) meaning of a word: normally distributed, the same at each place of the word."""
    digest = hashlib.sha256(f"{seed}/{word}".encode()).digest()
    return np.random.default_rng(list(digest)).standard_normal(DIMENSIONS)


def _heard(words: Sequence[TimedLabel], meaning: Mapping[str, np.ndarray], mids_s: np.ndarray) -> np.ndarray:
    """(T, D) word meanings plus the rest of earlier ones, on the TR clock."""
    state = np.zeros(DIMENSIONS)
    states = np.empty((len(words), DIMENSIONS))
    for i, word in enumerate(words):
        state = _LEAK * state + meaning[word.label]
        states[i] = state
    times = np.array([(word.onset_s + word.offset_s) / 2 for word in words])
    return lanczos_resample(states, times, mids_s)


def words_latent(stories: Mapping[str, Speech], seed: int) -> dict[str, np.ndarray]:
    """The word-driven latent of each story, (T, D) float64, white over the response TRs of all stories.

    Any features that encode the identity of words linearly predict it, the better the more words they
    distinguish. It does not depend on the word rate, since meanings have mean zero over the words heard.
    """
    counts = Counter(word.label for speech in stories.values() for word in speech.words)
    total = sum(counts.values())
    # ASSUME: rare words have little weight. Otherwise most of the latent would depend on words that occur
    # once or never in half an hour of training stories, and no model could learn it.
    meaning = {word: _vector(word, seed) * n / (n + _RARE) for word, n in sorted(counts.items())}
    mean = sum(counts[word] * vector for word, vector in meaning.items()) / total
    meaning = {word: vector - mean for word, vector in meaning.items()}
    raw = {
        story: _heard(speech.words, meaning, clock_onsets(speech.duration_s) + TR_S / 2)
        for story, speech in stories.items()
    }
    kept = np.concatenate([x[RESPONSE] - x[RESPONSE].mean(0) for x in raw.values()])  # (all TRs, D)
    spread, axes = np.linalg.eigh(kept.T @ kept / len(kept))
    whitening = (axes / np.sqrt(np.maximum(spread, 1e-3 * spread[-1]))) @ axes.T  # (D, D)
    return {story: x @ whitening for story, x in raw.items()}


def sound_bands(speech: Speech) -> np.ndarray:
    """(T, B) float64 dB, energy of each mel band in each TR, with a floor 60 dB below full scale."""
    from transformers.audio_utils import mel_filter_bank

    frame, hop = 512, 320
    onsets = clock_onsets(speech.duration_s)
    sound = speech.sound.astype(np.float32) / 32768
    frames = np.lib.stride_tricks.sliding_window_view(sound, frame)[::hop]  # (frames, frame)
    window = np.hanning(frame).astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2 / window.sum() ** 2
    energy = power @ mel_filter_bank(frame // 2 + 1, BANDS, 80.0, 7600.0, RATE_HZ)  # (frames, B)
    row = np.floor((np.arange(len(frames)) * hop / RATE_HZ - onsets[0]) / TR_S).astype(int)
    total = np.zeros((len(onsets), BANDS))
    np.add.at(total, row, energy)
    number = np.bincount(row, minlength=len(onsets))[:, None]
    return 10 * np.log10(total / np.maximum(number, 1) + 1e-6)


def spectrum() -> np.ndarray:
    """(D,) weights of the latent's dimensions, squares summing to 1.

    The first d dimensions explain the share S(d) = (a + b log10 d)^2 of the signal, with a = 0.35 and
    S(D) = 1: so the correlation sqrt(S(d)) times the ceiling is a straight line in log10 d.
    """
    share_at_one = 0.35
    slope = (1 - share_at_one) / math.log10(DIMENSIONS)
    share = (share_at_one + slope * np.log10(np.arange(1, DIMENSIONS + 1))) ** 2
    return np.sqrt(np.diff(share, prepend=0))
