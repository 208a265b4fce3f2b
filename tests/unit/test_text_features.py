"""Text features against one forward pass per word, in every architecture of config/models.yaml."""

import math
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_models import SETTINGS, WORDS, language_architectures, make_card, registry

from voxscale import feature_store, lanczos, tables, text_features, text_model
from voxscale.errors import UserError
from voxscale.io import read_json, write_json
from voxscale.models.states import StateReader
from voxscale.text_features import extract
from voxscale.text_model import Story, TextModel, batches

torch.set_num_threads(1)
ARCHITECTURES = language_architectures()


def test_every_class_of_the_list_is_compared_with_the_oracle():
    listed = {entry.model_class for entry in registry().values() if entry.modality == "language"}
    assert {entry.model_class for entry in ARCHITECTURES.values()} == listed


def context_start(word, max_context=12, restart_at=5):
    start, size = 0, 0
    for _ in range(word + 1):
        size += 1
        if size > max_context:
            size = restart_at
    return start + word + 1 - size


@torch.inference_mode()
def pass_per_word(model, words=WORDS):
    """Literal oracle: tokenise each word's context, pass it, take the last token's states; surprisals too."""
    states, nats = [], 0.0
    for word in range(len(words)):
        start = context_start(word)
        ids = model.tokenizer(" ".join(words[start : word + 1]))["input_ids"]
        before = model.tokenizer(" ".join(words[start:word]))["input_ids"] if word > start else []
        output = model.model(input_ids=torch.tensor([ids]), output_hidden_states=True)
        states.append([layer[0, -1].numpy() for layer in output.hidden_states])
        scores = torch.log_softmax(output.logits[0].float(), -1)
        first = max(len(before), 1)  # with a BOS, the first word's first token stands behind it
        nats -= sum(float(scores[t - 1, ids[t]]) for t in range(first, len(ids)))
    return states, nats


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_states_and_surprisal_equal_a_pass_per_word(name, tmp_path):
    model = TextModel(make_card(ARCHITECTURES[name], tmp_path), SETTINGS)
    assert model.reader.blocks is not None, "the hooks were not proven"
    # Gemma 2 caps its attention scores, which SDPA cannot.
    assert model.model.config._attn_implementation == ("eager" if name.startswith("Gemma2") else "sdpa")
    story = Story("tale", WORDS, np.arange(len(WORDS)) * 0.5, np.arange(10) * 2.0)
    passage = model.passage(story)
    assert len(passage.passes) > 2
    found, nats = model.mixed_states(passage, np.eye(passage.n_states))
    expected, expected_nats = pass_per_word(model)
    assert sorted(found) == [0, 1, 2]
    for word, layers in enumerate(expected):
        for k, states in enumerate(layers):
            np.testing.assert_allclose(found[k][passage.owner[word]], states, atol=1e-4)
    assert nats == pytest.approx(expected_nats, rel=1e-5)
    # ... and on the TR clock.
    features, numbers = model.features(story, passage)
    by_hand = lanczos.interpolate(np.array([layers[1] for layers in expected]), story.times, story.clock)
    np.testing.assert_allclose(features[1], by_hand, atol=1e-4)
    bits = expected_nats / math.log(2) / len(" ".join(WORDS))
    assert numbers["bits_per_character"] == pytest.approx(bits, rel=1e-5)


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    entry = replace(ARCHITECTURES["OPTForCausalLM"], slug="opt")
    return make_card(entry, tmp_path_factory.mktemp("opt"))


def passage_of(model, words=WORDS):
    return model.passage(Story("tale", words, np.arange(len(words)) * 0.5, np.arange(10) * 2.0))


def test_without_a_bos_the_first_token_is_not_scored(tmp_path):
    model = TextModel(make_card(ARCHITECTURES["OPTForCausalLM"], tmp_path, bos=False), SETTINGS)
    passage = passage_of(model)
    states, nats = model.mixed_states(passage, np.eye(passage.n_states))
    expected, expected_nats = pass_per_word(model)
    np.testing.assert_allclose(states[2][passage.owner], [layers[2] for layers in expected], atol=1e-4)
    assert nats == pytest.approx(expected_nats, rel=1e-5)
    assert passage.characters < len(" ".join(WORDS))


@pytest.mark.parametrize("budget", [1, 30, 45])
def test_batching_changes_nothing(card, budget):
    one = TextModel(card, {**SETTINGS, "token_budget": budget})
    all_at_once = TextModel(card, {**SETTINGS, "token_budget": 10**6})
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
    full = TextModel(card, SETTINGS)
    passage = passage_of(full)
    every, _ = full.mixed_states(passage, np.eye(passage.n_states))
    part = TextModel(card, {**SETTINGS, "bits_per_character": False}, layers=[1])
    ran = []
    part.reader.blocks[1].register_forward_hook(lambda *_: ran.append(1))
    some, nats = part.mixed_states(passage, np.eye(passage.n_states))
    assert list(some) == [1]
    assert nats == 0
    assert not ran
    np.testing.assert_allclose(some[1], every[1], atol=1e-6)
    with pytest.raises(UserError, match="layers 0 to 2"):
        TextModel(card, SETTINGS, layers=[3])


def head_calls(model):
    """How many tokens go through the output head from now on."""
    seen = []
    model.reader.head.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[:-1].numel()))
    return seen


def test_the_output_head_runs_for_scored_tokens_only_and_where_bits_are_asked_for(card):
    silent = TextModel(card, {**SETTINGS, "bits_per_character": False})
    passage = passage_of(silent)
    seen = head_calls(silent)
    _, nats = silent.mixed_states(passage, np.eye(passage.n_states))
    assert nats == 0
    assert not seen
    asked = TextModel(card, SETTINGS)
    seen = head_calls(asked)
    asked.mixed_states(passage, np.eye(passage.n_states))
    assert sum(seen) == sum(len(one.scored) for one in passage.passes)


def test_the_next_story_is_tokenised_during_a_pass_and_the_last_one_is_saved_before(monkeypatch):
    """The device does not wait for tokens, and a kill loses no story but the one it is in."""
    begun = [threading.Event() for _ in range(3)]

    class Device:
        card, settings = {"model": "opt"}, SETTINGS

        def passage(self, story):
            begun[int(story.name)].set()

        def features(self, story, _):
            i = int(story.name)
            assert i == 2 or begun[i + 1].wait(20), f"story {i + 1} was not tokenised beside the pass"
            assert written == [str(k) for k in range(i)], "a kill would lose more than this story"
            return {}, {}

    written = []
    monkeypatch.setattr(feature_store, "write_story", lambda path, *_: written.append(path))
    stories = [Story(str(i), [], np.zeros(0), np.zeros(0)) for i in range(3)]
    text_features._extract_missing(Device(), stories, {str(i): str(i) for i in range(3)}, {})
    assert written == ["0", "1", "2"]


def test_the_general_way_gives_the_same_where_the_hooks_are_not_proven(card, monkeypatch):
    full = TextModel(card, SETTINGS)
    passage = passage_of(full)
    expected, nats = full.mixed_states(passage, np.eye(passage.n_states))
    monkeypatch.setattr(StateReader, "_candidates", lambda _: [])
    general = TextModel(card, SETTINGS)
    assert general.reader.blocks is None
    general.reader.head_is_all = False
    found, more_nats = general.mixed_states(passage, np.eye(passage.n_states))
    for k in expected:
        np.testing.assert_allclose(found[k], expected[k], atol=1e-6)
    assert more_nats == pytest.approx(nats, rel=1e-6)


def test_a_model_that_looks_ahead_is_refused(card):
    model = TextModel(card, SETTINGS).model
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
def test_out_of_memory_halves_the_budget_once(card, capsys, failure):
    model = TextModel(card, {**SETTINGS, "token_budget": 400})
    passage = passage_of(model)
    expected, nats = model.mixed_states(passage, np.eye(passage.n_states))
    longest = max(len(one.ids) for one in passage.passes)
    budget, original, limit = 3 * longest, model.reader._pass, [longest]

    def small_device(ids, keep):
        if ids.numel() > limit[0]:
            raise failure
        return original(ids, keep)

    model.reader._pass = small_device
    model.budget = budget
    found, more = model.mixed_states(passage, np.eye(passage.n_states))
    said = f"opt: out of memory; going on with {budget // 2} tokens a batch"
    assert capsys.readouterr().err.count(said) == 1
    np.testing.assert_allclose(found[2], expected[2], atol=1e-5)
    assert more == pytest.approx(nats, rel=1e-6)
    limit[0] = 1
    with pytest.raises(UserError, match=rf"out of memory with {budget // 2} tokens.*token_budget"):
        model.mixed_states(passage, np.eye(passage.n_states))


# ---- whole extractions ----


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
    extract(folder / "opt.json", stories, folder / "opt.h5", folder / "stories", settings, layers)
    return {p.name: p.read_bytes() for p in sorted((folder / "stories/opt").glob("*.h5"))}


def test_index_and_attributes(study, monkeypatch):
    folder, stories = study
    run(folder, stories)
    assert feature_store.stories(folder / "opt.h5") == sorted(stories)
    assert feature_store.layers(folder / "opt.h5") == [0, 1, 2]
    attrs = feature_store.attrs(folder / "opt.h5", "s1")
    assert attrs["n_words"] == len(WORDS) + 1
    assert 0.5 < attrs["bits_per_character"] < 9
    assert attrs["dtype"] == "float32"


def test_killed_at_any_moment_it_ends_with_the_same_bytes(study, card, monkeypatch):
    folder, stories = study
    slow = {**SETTINGS, "token_budget": 1}  # one window a pass: several passes a story
    counter = Counter(monkeypatch)
    whole = run(folder, stories, slow)
    needed = counter.passes
    per_story = math.ceil(needed / len(stories)) + 1
    assert needed >= 3 * len(stories)
    rng = np.random.default_rng(0)
    for moment in rng.integers(1, needed + 1, 10):
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
        assert counter.passes <= needed + per_story
        (other / "opt.h5").unlink()


@pytest.mark.parametrize("tokens", [(10**6, 1), (1, 10**6)])
def test_a_resume_with_other_free_memory_keeps_the_batches(study, monkeypatch, tokens):
    folder, stories = study
    budget = [tokens[0]]
    monkeypatch.setattr(text_model, "free_bytes", lambda _: 2 * budget[0] * 24 * 4 * 32)
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
    first = TextModel(card, SETTINGS, folder=folder / "kept")
    passage, original = passage_of(first), first.reader._pass
    longest = max(len(one.ids) for one in passage.passes)

    def small_device(ids, keep):
        if ids.numel() > longest:
            raise torch.OutOfMemoryError
        return original(ids, keep)

    first.budget, first.reader._pass = 2 * longest, small_device
    first._kept.value = 2 * longest
    first.mixed_states(passage, np.eye(passage.n_states))
    assert TextModel(card, SETTINGS, folder=folder / "kept").budget == first.budget == longest
    assert TextModel(card, {**SETTINGS, "token_budget": 7}, folder=folder / "kept").budget == 7


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
    assert feature_store.layers(folder / "opt.h5") == [0, 2], "a layer was taken away"
    assert len(more) == len(after)


CHANGES = {
    "context": {"max_context": 13},
    "restart": {"restart_at": 4},
    "unit": {"unit": "tokens", "max_context": 40, "restart_at": 20},
    "dtype": {"dtype": "bfloat16"},
    "on_disk": {"on_disk": "float16"},
}


@pytest.mark.parametrize("what", [*CHANGES, "words", "weights", "times", "code"])
def test_a_stale_file_is_never_served(study, card, what, monkeypatch):
    folder, stories = study
    stories = {"s0": stories["s0"]}
    settings = SETTINGS
    run(folder, stories)
    old = feature_store.links(folder / "opt.h5")["s0"]
    if what == "code":
        monkeypatch.setattr(text_features, "code_hash", lambda name: f"another {name}")
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
    new = feature_store.links(folder / "opt.h5")["s0"]
    assert new != old
    assert new.exists()


def test_a_damaged_story_file_is_extracted_again(study):
    folder, stories = study
    good = run(folder, stories)
    victim = folder / "stories/opt" / next(iter(good))
    victim.write_bytes(victim.read_bytes()[:-50])
    assert run(folder, stories) == good


def test_half_precision_stays_close(card):
    full, half = TextModel(card, SETTINGS), TextModel(card, {**SETTINGS, "dtype": "bfloat16"})
    passage = passage_of(full)
    a, nats = full.mixed_states(passage, np.eye(passage.n_states))
    b, half_nats = half.mixed_states(passage, np.eye(passage.n_states))
    assert b[2].dtype == np.float32
    for k in a:
        assert np.corrcoef(a[k].ravel(), b[k].ravel())[0, 1] > 0.999
    assert half_nats == pytest.approx(nats, rel=0.01)


def test_untrained_weights_are_those_of_their_seed(card):
    found = [
        TextModel({**card, "untrained": True, "seed": seed}, SETTINGS).model.state_dict()
        for seed in (2, 2, 3)
    ]
    key = "model.decoder.layers.0.fc1.weight"
    assert torch.equal(found[0][key], found[1][key])
    assert not torch.equal(found[0][key], found[2][key])
    trained = TextModel(card, SETTINGS).model.state_dict()
    assert not torch.equal(found[1][key], trained[key])


def test_bad_devices_and_models_are_named(card, tmp_path):
    with pytest.raises(UserError, match=r"features\.device: cuda:7 cannot be used"):
        TextModel(card, {**SETTINGS, "device": "cuda:7"})
    with pytest.raises(UserError, match="not a readable model"):
        TextModel({**card, "path": str(tmp_path / "gone")}, SETTINGS)
