"""Text features as files: what is passed once, what a kill or lack of memory costs, what is never served."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_models import SETTINGS, WORDS, language_architectures, make_card, passage_of

from voxscale.features import language_model
from voxscale.features import store as feature_store
from voxscale.features.language_model import LanguageModel
from voxscale.features.text import extract_text
from voxscale.io import tables
from voxscale.io.files import read_json, write_json
from voxscale.models.states import StateReader
from voxscale.versions import NUMBERS

torch.set_num_threads(1)


def layers_of(index):
    held = [feature_store.stored_names(path)[0] for path in feature_store.feature_files(index).values()]
    return sorted(set.intersection(*held))


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    entry = replace(language_architectures()["OPTForCausalLM"], slug="opt")
    return make_card(entry, tmp_path_factory.mktemp("opt"))


def write_story(folder, name, words, late=0.0):
    n, m = len(words), len(words) // 4 + 8
    onset = np.arange(n) * 0.5 + late
    paths = folder / f"{name}-words.parquet", folder / f"{name}-clock.parquet"
    tables.write(
        "words",
        {
            "story": [name] * n,
            "index": range(n),
            "word": words,
            "onset_s": onset,
            "offset_s": onset + 0.3,
        },
        paths[0],
    )
    mid = 2.0 * np.arange(m) - 9
    tables.write(
        "clock",
        {"story": [name] * m, "row": range(m), "onset_s": mid - 1, "mid_s": mid, "in_response": [True] * m},
        paths[1],
    )
    return paths


@pytest.fixture
def study(card, tmp_path):
    write_json(tmp_path / "opt.json", card)
    stories = {f"s{i}": write_story(tmp_path, f"s{i}", WORDS[i:] + WORDS[:i] * 2) for i in range(4)}
    return tmp_path, stories


class Counter:
    """Counts forward passes, and can be killed at one of them."""

    def __init__(self, monkeypatch):
        self.passes, self.killed_at, original = 0, None, StateReader._pass

        def counting(reader, *args):
            self.passes += 1
            if self.killed_at is not None and self.passes == self.killed_at:
                raise KeyboardInterrupt
            return original(reader, *args)

        monkeypatch.setattr(StateReader, "_pass", counting)


def run(folder, stories, settings=SETTINGS, layers=None):
    extract_text(folder / "opt.json", stories, folder / "opt.h5", folder / "stories", settings, layers)
    return {p.name: p.read_bytes() for p in sorted((folder / "stories/opt").glob("*.h5"))}


def test_index_and_attributes(study, monkeypatch):
    folder, stories = study
    run(folder, stories)
    assert sorted(feature_store.feature_files(folder / "opt.h5")) == sorted(stories)
    assert layers_of(folder / "opt.h5") == [0, 1, 2]
    attrs = feature_store.feature_attrs(folder / "opt.h5", "s1")
    assert attrs["n_words"] == len(WORDS) + 1
    assert 0.5 < attrs["bits_per_character"] < 9
    assert attrs["dtype"] == "float32"


@pytest.mark.parametrize("together", [1, 2])
def test_killed_at_any_moment_it_ends_with_the_same_bytes(study, card, monkeypatch, together):
    folder, stories = study
    # As on a GPU, several stories share batches.
    pairs = [list(stories)[i : i + together] for i in range(0, len(stories), together)]
    monkeypatch.setattr(language_model.LanguageModel, "groups", lambda *_: pairs)
    slow = {**SETTINGS, "token_budget": 1 if together == 1 else 100}  # several passes a story, or shared ones
    counter = Counter(monkeypatch)
    whole = run(folder, stories, slow)
    needed = counter.passes
    repeated = together * (math.ceil(needed / len(stories)) + 1)
    assert needed >= (3 if together == 1 else 1) * len(stories)
    rng = np.random.default_rng(0)
    for moment in rng.integers(1, needed + 1, 10 if together == 1 else 5):
        other = folder / f"killed-{moment}"
        other.mkdir(exist_ok=True)
        write_json(other / "opt.json", card)
        for path in (other / "stories").rglob("*.h5"):
            path.unlink()
        counter.passes, counter.killed_at = 0, int(moment)
        with pytest.raises(KeyboardInterrupt):
            run(other, stories, slow)
        assert not (other / "opt.h5").exists()
        counter.killed_at = None
        assert run(other, stories, slow) == whole
        assert counter.passes <= needed + repeated
        (other / "opt.h5").unlink()


@pytest.mark.parametrize("tokens", [(10**6, 1), (1, 10**6)])
def test_a_resume_with_other_free_memory_keeps_the_batches(study, monkeypatch, tokens):
    folder, stories = study
    budget = [tokens[0]]
    monkeypatch.setattr(language_model, "free_bytes", lambda _: 2 * budget[0] * 24 * 4 * 32)
    counter = Counter(monkeypatch)
    whole = run(folder, stories)
    needed = counter.passes
    for path in (folder / "stories").rglob("*.*"):
        path.unlink()
    (folder / "opt.h5").unlink()
    counter.passes, counter.killed_at = 0, needed // 2 + 1
    with pytest.raises(KeyboardInterrupt):
        run(folder, stories)
    done = len(list((folder / "stories").rglob("s*.h5")))
    assert 0 < done < len(stories)
    budget[0], counter.killed_at = tokens[1], None
    before = counter.passes
    assert run(folder, stories) == whole
    assert counter.passes - before == pytest.approx(needed * (1 - done / len(stories)), abs=2)


def test_a_halved_budget_is_kept_for_those_who_resume(study, monkeypatch):
    folder, _ = study
    card = read_json(folder / "opt.json")
    first = LanguageModel(card, SETTINGS, folder=folder / "kept")
    passage, original = passage_of(first), first.reader._pass
    longest = max(len(one.ids) for one in passage.passes)

    def small_device(ids, keep):
        if ids.numel() > longest:
            raise torch.OutOfMemoryError
        return original(ids, keep)

    first.tokens.value, first.reader._pass = 2 * longest, small_device
    first.mixed_states(passage, np.eye(passage.n_states))
    assert LanguageModel(card, SETTINGS, folder=folder / "kept").tokens.value == first.tokens.value == longest
    assert LanguageModel(card, {**SETTINGS, "token_budget": 7}, folder=folder / "kept").tokens.value == 7


def test_nothing_is_passed_twice(study, monkeypatch):
    folder, stories = study
    counter = Counter(monkeypatch)
    first = dict(list(stories.items())[:2])
    before = run(folder, first, layers=[2])
    passed = counter.passes
    assert run(folder, first, layers=[2]) == before
    assert counter.passes == passed, "an extraction that was whole ran again"
    after = run(folder, stories, layers=[2])
    assert {k: after[k] for k in before} == before
    assert counter.passes == 2 * passed, "a new story made old ones run again"
    more = run(folder, stories, layers=[0])
    assert layers_of(folder / "opt.h5") == [0, 2], "a layer was taken away"
    assert len(more) == len(after)


CHANGES = {
    "context": {"max_context": 13},
    "restart": {"restart_at": 4},
    "unit": {"unit": "tokens", "max_context": 40, "restart_at": 20},
    "dtype": {"dtype": "bfloat16"},
    "on_disk": {"on_disk": "float16"},
}


@pytest.mark.parametrize("what", [*CHANGES, "words", "weights", "times", "numbers"])
def test_a_stale_file_is_never_served(study, card, what, monkeypatch):
    folder, stories = study
    stories = {"s0": stories["s0"]}
    settings = SETTINGS
    run(folder, stories)
    old = feature_store.feature_files(folder / "opt.h5")["s0"]
    if what == "numbers":
        monkeypatch.setitem(NUMBERS, "text", NUMBERS["text"] + 1)
    elif what == "weights":
        write_json(folder / "opt.json", {**card, "weights_id": "other"})
    elif what in ("words", "times"):
        words = [*WORDS[:-1], "red"] if what == "words" else WORDS
        stories = {"s0": write_story(folder, "s0", words, late=0.1 if what == "times" else 0.0)}
    else:
        settings = SETTINGS | CHANGES[what]
    counter = Counter(monkeypatch)
    run(folder, stories, settings)
    assert counter.passes
    new = feature_store.feature_files(folder / "opt.h5")["s0"]
    assert new != old
    assert new.exists()


def test_a_damaged_story_file_is_extracted_again(study):
    folder, stories = study
    good = run(folder, stories)
    victim = folder / "stories/opt" / next(iter(good))
    victim.write_bytes(victim.read_bytes()[:-50])
    assert run(folder, stories) == good
