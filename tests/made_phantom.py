"""A small phantom without its sounds: stories of random words, what drives its voxels, and one subject."""

import functools

import numpy as np

from voxscale.dataset import TimedLabel
from voxscale.phantom import brain, latents, patches
from voxscale.phantom.speech import RATE_HZ, Speech

TRAINING, TEST, SKIP, REPEATS = [f"story{i}" for i in range(6)], ["test"], 10, 6


@functools.cache
def stories():
    """Stories of random words, a word every 0.4 s, with noise for a sound: no synthesiser needed."""
    rng = np.random.default_rng(0)
    found = {}
    for story in [*TRAINING, *TEST]:
        n = 400 if story in TRAINING else 600
        labels = rng.choice([f"w{i}" for i in range(60)], n)
        words = [TimedLabel(0.4 * i + 0.3, 0.4 * i + 0.65, label) for i, label in enumerate(labels)]
        loudness = np.repeat(rng.uniform(100, 4000, n // 10), 4 * RATE_HZ)
        sound = (rng.standard_normal(len(loudness)) * loudness).clip(-32000, 32000).astype(np.int16)
        found[story] = Speech(sound, words, [])
    return found


@functools.cache
def drives():
    """The words' latent and the bands of the sound, by story."""
    return latents.words_latent(stories(), 1), {s: latents.sound_bands(said) for s, said in stories().items()}


@functools.cache
def subject():
    rng = np.random.default_rng(5)
    return brain.draw_subject(patches.place_voxels(60, rng), rng)


@functools.cache
def signal():
    return brain.signals(subject(), *drives())


def hear(subject, signal, story, repeats, seed):
    return brain.hearings(subject, signal[story], repeats, np.random.default_rng([seed, hash_of(story)]))


def hash_of(story):
    return sum(story.encode())
