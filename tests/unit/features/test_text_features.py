"""Text features against one forward pass per word, in every architecture of models.yaml."""

import math
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_models import (
    SETTINGS,
    WORDS,
    language_architectures,
    make_card,
    pass_per_word,
    passage_of,
    registry,
)

from voxscale.errors import UserError
from voxscale.features import store as feature_store
from voxscale.features.extraction import update_features
from voxscale.features.language_model import LanguageModel, StoryWords, batches, story_groups
from voxscale.models.states import StateReader
from voxscale.overlap import prepare_ahead
from voxscale.timeseries import lanczos_resample

torch.set_num_threads(1)
ARCHITECTURES = language_architectures()


def test_every_class_of_the_list_is_compared_with_the_oracle():
    listed = {entry.model_class for entry in registry().values() if entry.modality == "language"}
    assert {entry.model_class for entry in ARCHITECTURES.values()} == listed


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_states_and_surprisal_equal_a_pass_per_word(name, tmp_path):
    model = LanguageModel(make_card(ARCHITECTURES[name], tmp_path), SETTINGS)
    assert model.reader.blocks is not None, "the hooks were not proven"
    # Gemma 2 caps its attention scores, which SDPA cannot.
    assert model.model.config._attn_implementation == ("eager" if name.startswith("Gemma2") else "sdpa")
    story = StoryWords("tale", WORDS, np.arange(len(WORDS)) * 0.5, np.arange(10) * 2.0)
    passage = model.passage(story)
    assert len(passage.passes) > 2
    found, nats = model.mixed_states(passage, np.eye(passage.n_states))
    expected, expected_nats = pass_per_word(model)
    assert sorted(found) == [0, 1, 2]
    for word, layers in enumerate(expected):
        for k, states in enumerate(layers):
            np.testing.assert_allclose(found[k][passage.owner[word]], states, atol=1e-4)
    assert nats.sum() == pytest.approx(expected_nats, rel=1e-5)
    # ... and on the TR clock.
    ((features, numbers),) = model.features([story], [model.prepare(story)])
    by_hand = lanczos_resample(np.array([layers[1] for layers in expected]), story.times, story.clock)
    np.testing.assert_allclose(features[1], by_hand, atol=1e-4)
    bits = expected_nats / math.log(2) / len(" ".join(WORDS))
    assert numbers["bits_per_character"] == pytest.approx(bits, rel=1e-5)


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    entry = replace(ARCHITECTURES["OPTForCausalLM"], slug="opt")
    return make_card(entry, tmp_path_factory.mktemp("opt"))


def test_without_a_bos_the_first_token_is_not_scored(tmp_path):
    model = LanguageModel(make_card(ARCHITECTURES["OPTForCausalLM"], tmp_path, bos=False), SETTINGS)
    passage = passage_of(model)
    states, nats = model.mixed_states(passage, np.eye(passage.n_states))
    expected, expected_nats = pass_per_word(model)
    np.testing.assert_allclose(states[2][passage.owner], [layers[2] for layers in expected], atol=1e-4)
    assert nats.sum() == pytest.approx(expected_nats, rel=1e-5)
    assert passage.characters < len(" ".join(WORDS))


@pytest.mark.parametrize("budget", [1, 30, 45])
def test_batching_changes_nothing(card, budget):
    one = LanguageModel(card, {**SETTINGS, "token_budget": budget})
    all_at_once = LanguageModel(card, {**SETTINGS, "token_budget": 10**6})
    passage = passage_of(one)
    few, nats = one.mixed_states(passage, np.eye(passage.n_states))
    many, more_nats = all_at_once.mixed_states(passage, np.eye(passage.n_states))
    assert all_at_once.reader.passes == 1 < one.reader.passes
    for k in few:
        np.testing.assert_allclose(few[k], many[k], atol=1e-5)
    assert nats == pytest.approx(more_nats, rel=1e-6)


def test_batches_hold_the_budget_and_every_pass_once():
    lengths = [7, 640, 3, 640, 640, 12, 90]
    groups = batches(lengths, 1300)
    assert sorted(i for group in groups for i in group) == list(range(7))
    assert all(len(g) * max(lengths[i] for i in g) <= 1300 for g in groups)
    assert len(batches(lengths, 1)) == 7


def test_only_the_layers_asked_for_and_no_deeper_block_runs(card):
    full = LanguageModel(card, SETTINGS)
    passage = passage_of(full)
    every, _ = full.mixed_states(passage, np.eye(passage.n_states))
    part = LanguageModel(card, {**SETTINGS, "bits_per_character": False}, layers=[1])
    ran = []
    part.reader.blocks[1].register_forward_hook(lambda *_: ran.append(1))
    some, nats = part.mixed_states(passage, np.eye(passage.n_states))
    assert list(some) == [1]
    assert nats.sum() == 0
    assert not ran
    np.testing.assert_allclose(some[1], every[1], atol=1e-6)
    with pytest.raises(UserError, match="layers 0 to 2"):
        LanguageModel(card, SETTINGS, layers=[3])


def head_calls(model):
    """How many tokens go through the output head from now on."""
    seen = []
    model.reader.head.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[:-1].numel()))
    return seen


def test_the_output_head_runs_for_scored_tokens_only_and_where_bits_are_asked_for(card):
    silent = LanguageModel(card, {**SETTINGS, "bits_per_character": False})
    passage = passage_of(silent)
    seen = head_calls(silent)
    _, nats = silent.mixed_states(passage, np.eye(passage.n_states))
    assert nats.sum() == 0
    assert not seen
    asked = LanguageModel(card, SETTINGS)
    seen = head_calls(asked)
    asked.mixed_states(passage, np.eye(passage.n_states))
    assert sum(seen) == sum(len(one.scored) for one in passage.passes)


def test_the_next_story_is_prepared_and_the_last_one_saved_during_a_pass(monkeypatch):
    """The device does not wait for tokens, and a kill loses only the story it is in and one being saved."""
    begun, written = [threading.Event() for _ in range(3)], []

    def make(missing, _):
        for i, _ in prepare_ahead(range(3), lambda i: begun[i].set()):
            assert i == 2 or begun[i + 1].wait(20), f"story {i + 1} was not prepared beside the pass"
            assert written[: i - 1] == [str(k) for k in range(i - 1)], "a kill would lose more stories"
            yield missing[i], {}, {}

    monkeypatch.setattr(feature_store, "write_features", lambda path, *_: written.append(path))
    monkeypatch.setattr(feature_store, "write_feature_index", lambda *_: None)
    update_features("index", {str(i): str(i) for i in range(3)}, [0], make, "float32")
    assert written == ["0", "1", "2"]


def test_the_general_way_gives_the_same_where_the_hooks_are_not_proven(card, monkeypatch):
    full = LanguageModel(card, SETTINGS)
    passage = passage_of(full)
    expected, nats = full.mixed_states(passage, np.eye(passage.n_states))
    monkeypatch.setattr(StateReader, "_candidates", lambda _: [])
    general = LanguageModel(card, SETTINGS)
    assert general.reader.blocks is None
    general.reader.head_is_all = False
    found, more_nats = general.mixed_states(passage, np.eye(passage.n_states))
    for k in expected:
        np.testing.assert_allclose(found[k], expected[k], atol=1e-6)
    assert more_nats == pytest.approx(nats, rel=1e-6)


def test_a_model_that_looks_ahead_is_refused(card):
    model = LanguageModel(card, SETTINGS).model
    attention = type(model.base_model.decoder.layers[0])
    original = attention.forward

    def looking_ahead(self, hidden_states, *args, **kwargs):
        return original(self, hidden_states + hidden_states.mean(1, keepdim=True), *args, **kwargs)

    attention.forward = looking_ahead
    try:
        with pytest.raises(UserError, match="is not causal"):
            StateReader(model)
    finally:
        attention.forward = original


# As torch says it on a GPU, and on a CPU.
@pytest.mark.parametrize(
    "failure",
    [torch.OutOfMemoryError("CUDA"), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")],
)
def test_out_of_memory_halves_the_budget(card, capsys, failure):
    model = LanguageModel(card, {**SETTINGS, "token_budget": 400})
    passage = passage_of(model)
    expected, nats = model.mixed_states(passage, np.eye(passage.n_states))
    longest = max(len(one.ids) for one in passage.passes)
    budget, original, limit = 3 * longest, model.reader._pass, [longest]

    def small_device(ids, keep):
        if ids.numel() > limit[0]:
            raise failure
        return original(ids, keep)

    model.reader._pass = small_device
    model.tokens.value = budget
    found, more = model.mixed_states(passage, np.eye(passage.n_states))
    said = f"opt: out of memory; going on with batches of {budget // 2}"
    assert capsys.readouterr().err.count(said) == 1
    np.testing.assert_allclose(found[2], expected[2], atol=1e-5)
    assert more == pytest.approx(nats, rel=1e-6)
    limit[0] = 1
    with pytest.raises(UserError, match=rf"out of memory with one pass of {longest} tokens.*max_context"):
        model.mixed_states(passage, np.eye(passage.n_states))


def test_half_precision_stays_close(card):
    full, half = LanguageModel(card, SETTINGS), LanguageModel(card, {**SETTINGS, "dtype": "bfloat16"})
    passage = passage_of(full)
    a, nats = full.mixed_states(passage, np.eye(passage.n_states))
    b, half_nats = half.mixed_states(passage, np.eye(passage.n_states))
    assert b[2].dtype == np.float32
    for k in a:
        assert np.corrcoef(a[k].ravel(), b[k].ravel())[0, 1] > 0.999
    assert half_nats == pytest.approx(nats, rel=0.01)


def test_untrained_weights_are_those_of_their_seed(card):
    found = [
        LanguageModel({**card, "untrained": True, "seed": seed}, SETTINGS).model.state_dict()
        for seed in (2, 2, 3)
    ]
    key = "model.decoder.layers.0.fc1.weight"
    assert torch.equal(found[0][key], found[1][key])
    assert not torch.equal(found[0][key], found[2][key])
    trained = LanguageModel(card, SETTINGS).model.state_dict()
    assert not torch.equal(found[1][key], trained[key])


def test_bad_devices_and_models_are_named(card, tmp_path):
    with pytest.raises(UserError, match=r"features\.device: cuda:7 cannot be used"):
        LanguageModel(card, {**SETTINGS, "device": "cuda:7"})
    with pytest.raises(UserError, match=r"config\.json: is not there; get the whole model again"):
        LanguageModel({**card, "path": str(tmp_path / "gone")}, SETTINGS)


def test_stories_that_pass_together_have_the_features_of_each_alone(card):
    model = LanguageModel(card, {**SETTINGS, "token_budget": 10**6})
    stories = [
        StoryWords(name, words, np.arange(len(words)) * 0.5, np.arange(trs) * 2.0)
        for name, words, trs in (("one", WORDS, 10), ("two", WORDS[7:], 8), ("three", WORDS[::-1], 9))
    ]
    prepared = [model.prepare(story) for story in stories]
    before = model.reader.passes
    together = model.features(stories, prepared)
    assert model.reader.passes == before + 1
    for story, ready, (layers, numbers) in zip(stories, prepared, together, strict=True):
        ((alone, alone_numbers),) = model.features([story], [ready])
        assert numbers == pytest.approx(alone_numbers, rel=1e-6)
        for k in alone:
            np.testing.assert_allclose(layers[k], alone[k], atol=1e-5)


def test_groups_of_stories_fill_a_batch_and_do_not_depend_on_what_is_left():
    words = {"a": 1000, "b": 1000, "c": 9000, "d": 100, "e": 20_000}
    assert story_groups(words, 0) == [["a"], ["b"], ["c"], ["d"], ["e"]]
    assert story_groups(words, 6000) == [["a", "b"], ["c"], ["d"], ["e"]]
    assert story_groups(words, 32_768) == [["a", "b", "c", "d"], ["e"]]
