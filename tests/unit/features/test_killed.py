"""Extraction under SIGKILL: it ends with the same bytes, and no kill costs more than one story.

VOXSCALE_KILLS=10 makes more of it.
"""

import multiprocessing
import os
import shutil
import sys
import time
from multiprocessing import forkserver

import numpy as np
import pytest
import soundfile
import transformers
from killed_life import PASS_S, live
from tiny_models import SETTINGS, WORDS, language_architectures, make_card

from voxscale.features.sound import RATE
from voxscale.io import tables
from voxscale.io.files import write_json

KILLS = int(os.environ.get("VOXSCALE_KILLS", "2"))
STORIES = 5
START_S = 600  # most seconds until a life's first pass, on a busy machine


@pytest.fixture(scope="module")
def lives():
    """Processes that start with everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["killed_life"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        forkserver.ensure_running()
    return context


def write_clock(path, name):
    mid = 2.0 * np.arange(12) - 3
    column = {
        "story": [name] * 12,
        "row": range(12),
        "onset_s": mid - 1,
        "mid_s": mid,
        "in_response": [True] * 12,
    }
    tables.write("clock", column, path)
    return path


def text_study(folder):
    """A tiny language model, its stories, and settings with one window a pass."""
    write_json(folder / "card.json", make_card(language_architectures()["OPTForCausalLM"], folder / "model"))
    stories = {}
    for i in range(STORIES):
        name, words = f"s{i}", WORDS[i:] + WORDS[:i] * 2
        onset = np.arange(len(words)) * 0.5
        column = {"story": [name] * len(words), "index": range(len(words)), "word": words}
        tables.write(
            "words", column | {"onset_s": onset, "offset_s": onset + 0.3}, folder / f"{name}-words.parquet"
        )
        stories[name] = folder / f"{name}-words.parquet", write_clock(folder / f"{name}-clock.parquet", name)
    return stories, SETTINGS | {"token_budget": 1}


def speech_study(folder):
    """A tiny speech encoder, its stories, and settings."""
    config = {"conv_dim": [8] * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}
    config |= {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    transformers.HubertModel(transformers.HubertConfig(**config)).save_pretrained(folder / "model")
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder / "model")
    card = {"model": "hubert", "path": str(folder / "model"), "n_layers": 2, "weights_id": "x"}
    write_json(folder / "card.json", card)
    stories = {}
    for i in range(STORIES):
        sound = np.random.default_rng(i).normal(0, 0.1, 5 * RATE)
        soundfile.write(folder / f"s{i}.wav", sound, RATE)
        stories[f"s{i}"] = folder / f"s{i}.wav", write_clock(folder / f"s{i}-clock.parquet", f"s{i}")
    settings = {"window_s": 0.5, "stride_s": 0.05, "dtype": "float32", "device": "cpu", "device_map": None}
    return stories, settings | {"on_disk": "float32"}


def found(folder):
    """Finished story files, and the index with what it links."""
    return {path.name: path.read_bytes() for path in folder.rglob("*.h5") if not path.name.startswith(".")}


@pytest.mark.parametrize("kind", ["text", "speech"])
def test_the_same_bytes_and_one_story_per_kill(kind, lives, tmp_path):
    stories, settings = {"text": text_study, "speech": speech_study}[kind](tmp_path)

    def start(place):
        arguments = (tmp_path / "card.json", stories, place / "i.h5", place / "stories", settings)
        life = lives.Process(target=live, args=(kind, place / "passes", arguments))
        place.mkdir(exist_ok=True)
        life.start()
        return life

    def passes(place):
        return (place / "passes").stat().st_size if (place / "passes").exists() else 0

    whole, place = tmp_path / "whole", tmp_path / "killed"
    life = start(whole)
    life.join()
    assert life.exitcode == 0
    needed = passes(whole)
    per_story = -(-needed // STORIES) + 1  # stories differ in length, by a pass at most
    assert needed >= 3 * STORIES
    random, killed = np.random.default_rng(KILLS), 0
    while killed < KILLS:
        before, wanted = passes(place), int(random.integers(1, per_story + 2))
        life = start(place)
        deadline = time.monotonic() + START_S
        while passes(place) < before + wanted and life.is_alive() and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(random.uniform(0, 2 * PASS_S))  # in a pass, between two, while a file is written
        life.kill()
        life.join()
        killed += 1
        if (place / "i.h5").exists():  # it came through before the kill: begin again from nothing
            shutil.rmtree(place)
            killed = 0
    life = start(place)
    life.join()
    assert life.exitcode == 0
    assert found(place) == found(whole)
    assert passes(place) <= needed + KILLS * per_story
    print(f"{kind}: {KILLS} kills, {needed} passes needed, {passes(place)} made, {per_story} a story at most")
