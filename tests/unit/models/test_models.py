"""The model list, parameter counts, cards, and where models come from."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import errors as hub_errors
from tiny_models import WORDS, count_entry, language_architectures, registry, small

from voxscale.errors import UserError
from voxscale.io import tables
from voxscale.models import load_registry
from voxscale.models.hub import fetch_snapshot
from voxscale.models.prepare import prepare_model
from voxscale.models.registry import _ARCHITECTURE, _KEYS

REGISTRY = registry()

# Parameters as published: papers, model cards, and the tensors of the released checkpoints.
PUBLISHED = {
    "opt-125m": 125_239_296,
    "opt-350m": 331_196_416,
    "opt-1.3b": 1_315_758_080,
    "opt-2.7b": 2_651_596_800,
    "opt-6.7b": 6_658_473_984,
    "opt-13b": 12_853_473_280,
    "opt-30b": 29_974_540_288,
    "llama-7b": 6_738_415_616,
    "llama-13b": 13_015_864_320,
    "llama-33b": 32_528_943_616,
    "llama-65b": 65_285_660_672,
    "hubert-base": 94_371_712,
    "hubert-large": 315_438_720,
    "hubert-xlarge": 962_497_408,
    "wavlm-base": 94_381_936,
    "wavlm-base-plus": 94_381_936,
    "wavlm-large": 315_453_120,
    "whisper-tiny": 37_760_640,
    "whisper-base": 72_593_920,
    "whisper-small": 241_734_912,
    "whisper-medium": 763_857_920,
    "whisper-large": 1_543_304_960,
    "whisper-large-v2": 1_543_304_960,
    "whisper-large-v3": 1_543_490_560,
    "gpt2": 124_439_808,
    "gpt2-xl": 1_557_611_200,
    "pythia-70m": 70_426_624,
    "pythia-410m": 405_334_016,
    "qwen2.5-0.5b": 494_032_768,
    "qwen3-0.6b": 596_049_920,
    "gemma-2-2b": 2_614_341_888,
    "llama-3.2-1b": 1_235_814_400,
    "llama-3.1-8b": 8_030_261_248,
    "mistral-7b": 7_241_732_096,
    "olmo-2-1b": 1_484_916_736,
    "smollm2-135m": 134_515_008,
}
# Where only a rounded size is published: it, and half a unit of its last digit.
ROUNDED = {
    "opt-66b": (66e9, 0.5e9),
    "opt-175b": (175e9, 0.5e9),
    "olmo-2-32b": (32e9, 0.5e9),
    "qwen2.5-72b": (72.7e9, 0.05e9),
}
# Layers, heads and width of the OPT models, as table 1 of arXiv 2205.01068 has them.
OPT_SHAPES = {
    "opt-125m": (12, 12, 768),
    "opt-350m": (24, 16, 1024),
    "opt-1.3b": (24, 32, 2048),
    "opt-2.7b": (32, 32, 2560),
    "opt-6.7b": (32, 32, 4096),
    "opt-13b": (40, 40, 5120),
    "opt-30b": (48, 56, 7168),
    "opt-66b": (64, 72, 9216),
    "opt-175b": (96, 96, 12288),
}


@pytest.mark.parametrize("slug", PUBLISHED)
def test_published_parameter_counts(slug):
    assert count_entry(REGISTRY[slug]).whole == PUBLISHED[slug]


@pytest.mark.parametrize("slug", ROUNDED)
def test_rounded_parameter_counts(slug):
    size, half = ROUNDED[slug]
    assert count_entry(REGISTRY[slug]).whole == pytest.approx(size, abs=half, rel=0)


@pytest.mark.parametrize("slug", OPT_SHAPES)
def test_published_shapes(slug):
    entry = REGISTRY[slug]
    assert (entry.n_layers, entry.heads, entry.width) == OPT_SHAPES[slug]
    assert (entry.vocab, entry.config["ffn_dim"]) == (50272, 4 * entry.width)


def test_what_a_count_leaves_out():
    opt = count_entry(REGISTRY["opt-125m"])
    # 12 blocks of 12 w² weights and 13 w biases and norms, and the final norm: no token or position table.
    width = 768
    assert opt.non_embedding == 12 * (12 * width**2 + 13 * width) + 2 * width
    assert opt.total - opt.non_embedding == (50272 + 2050) * width
    llama = count_entry(REGISTRY["llama-7b"])
    assert llama.total - llama.non_embedding == 2 * 32000 * 4096  # its head is not tied
    whisper = count_entry(REGISTRY["whisper-large"])
    assert whisper.total == 636_784_640  # features come from the encoder alone
    assert whisper.total < whisper.whole / 2


def test_the_list_names_what_the_paper_used():
    opt = [f"opt-{size}" for size in ("125m", "1.3b", "13b", "30b", "66b", "175b")]
    llama = [f"llama-{size}" for size in ("7b", "13b", "33b", "65b")]
    whisper = [f"whisper-{size}" for size in ("tiny", "base", "small", "medium", "large")]
    others = ["hubert-base", "hubert-large", "hubert-xlarge", "wavlm-base", "wavlm-base-plus", "wavlm-large"]
    assert {REGISTRY[slug].modality for slug in opt + llama} == {"language"}
    assert {REGISTRY[slug].modality for slug in whisper + others} == {"speech"}
    assert REGISTRY["pythia-410m-step1000"].revision == "step1000"
    assert REGISTRY["pythia-410m-step1000"].hub == REGISTRY["pythia-410m"].hub
    assert REGISTRY["llama-3.1-8b"].gated
    assert [REGISTRY[f"nested-{d}"].width for d in (1, 32)] == [1, 32]


def test_every_key_of_an_entry_is_explained():
    text = (
        (Path(__file__).parents[3] / "config/README.md").read_text().split("## An entry under `models:`")[1]
    )
    assert set(re.findall(r"^- `(\w+)`:", text, flags=re.MULTILINE)) == _KEYS
    assert all(f"`{key}`" in text for key in _ARCHITECTURE)


def test_an_entry_survives_the_way_through_a_rule():
    entry = REGISTRY["tiny-opt-1"]
    assert type(entry)(**json.loads(json.dumps(asdict(entry)))) == entry


def shaped(**changes):
    return {"modality": "language", "architecture": {"class": "X", "n_layers": 1, "width": 8} | changes}


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"modality": "smell"}, "modality: 'smell' is not possible; there are language, speech"),
        ({"modality": "language"}, "architecture: is missing"),
        ({"modality": "language", "hubb": "x"}, "unknown key hubb"),
        ({"modality": "language", "architecture": {"class": "X", "n_layers": 1}}, "architecture.width"),
        (
            {"modality": "language", "architecture": {"clas": "X"}},
            "architecture: unknown key clas; .* class",
        ),
        (shaped(n_layers=-2), "architecture.n_layers: is -2; it must be a whole number above 0"),
        (shaped(width=8.0), "architecture.width: is 8.0; it must be a whole number above 0"),
        (shaped(width=True), "architecture.width: is True; it must be a whole number above 0"),
        (shaped(vocab=[1]), "architecture.vocab: is .1.; it must be"),
        (shaped(config=[1]), "architecture.config: is .1.; it must be a mapping"),
        ({"modality": "nested"}, "dims: a nested model needs it"),
        ({"modality": "nested", "dims": 1, "noise": [float("nan")]}, "noise: is .nan.; it must be"),
        (
            {"modality": "control", "dtype": "float8"},
            "dtype: float8 is not possible; did you mean float32",
        ),
        ({"like": "nothing"}, "like: nothing"),
        ({"like": ["opt-1.3b"]}, "like: .'opt-1.3b'. is not another entry"),
        ({1: 2}, "unknown key 1"),
        ({"like": "bad"}, "like: bad"),
        (None, "must be a mapping"),
    ],
)
def test_bad_entries_are_named(entry, says):
    with pytest.raises(UserError, match=f"models.bad.*{says}"):
        load_registry({"bad": entry})
    with pytest.raises(UserError, match="a model's name"):
        load_registry({"Bad Name": {"modality": "control"}})


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    path, n = tmp_path_factory.mktemp("words") / "words.parquet", len(WORDS)
    onset = np.arange(n) * 0.5
    columns = {"story": ["s"] * n, "index": range(n), "word": WORDS, "onset_s": onset, "offset_s": onset}
    tables.write("words", columns, path)
    return [path]


@pytest.mark.parametrize("slug", ["tiny-opt-1", "tiny-hubert-1", "tiny-whisper-1"])
def test_building_is_reproducible_and_loads_as_a_hub_model_does(slug, words, tmp_path):
    from transformers import AutoFeatureExtractor, AutoModel, AutoTokenizer

    cards = [prepare_model(REGISTRY[slug], tmp_path / n / f"{slug}.json", words) for n in ("a", "b")]
    assert cards[0]["weights_id"] == cards[1]["weights_id"]
    assert cards[0]["parameters"] == count_entry(REGISTRY[slug]).total
    assert json.loads((tmp_path / "a" / f"{slug}.json").read_text()) == cards[0]
    model = AutoModel.from_pretrained(cards[0]["path"])
    assert model.config.num_hidden_layers == cards[0]["n_layers"]
    if REGISTRY[slug].modality == "language":
        tokenizer = AutoTokenizer.from_pretrained(cards[0]["path"])
        assert tokenizer.is_fast
        assert len(tokenizer) <= REGISTRY[slug].vocab
        assert (
            tokenizer.decode(tokenizer("don't — 日")["input_ids"], skip_special_tokens=True) == "don't — 日"
        )
    else:
        assert AutoFeatureExtractor.from_pretrained(cards[0]["path"]).sampling_rate == 16000


@pytest.mark.parametrize("slug", ["mel", "nested-8"])
def test_cards_of_features_without_a_network(slug, tmp_path):
    card = prepare_model(REGISTRY[slug], tmp_path / "x.json")
    assert card["parameters"] is None
    assert card["n_layers"] == 0


def test_a_local_folder_is_checked_against_its_entry(words, tmp_path):
    entry = language_architectures()["OPTForCausalLM"]
    prepare_model(entry, tmp_path / "made.json", words)
    there = replace(entry, build=None, path=str(tmp_path / "made"))
    card = prepare_model(there, tmp_path / "card.json")
    assert card["path"] == str(tmp_path / "made")
    for key, value in (("n_layers", 5), ("width", 8), ("heads", 1), ("vocab", 9)):
        with pytest.raises(UserError, match=f"architecture.{key}: is {value}, but .* has"):
            prepare_model(replace(there, **{key: value}), tmp_path / "card.json")
    with pytest.raises(UserError, match="is not a folder"):
        prepare_model(replace(there, path=str(tmp_path / "gone")), tmp_path / "card.json")
    with pytest.raises(UserError, match=r"has no config\.json"):
        prepare_model(replace(there, path=str(tmp_path)), tmp_path / "card.json")
    with pytest.raises(UserError, match="not on the hub; set path"):
        prepare_model(REGISTRY["opt-175b"], tmp_path / "card.json")
    with pytest.raises(UserError, match="no words to train"):
        prepare_model(entry, tmp_path / "made.json")
    with pytest.raises(
        UserError,
        match=r"^config key models\.\S+: transformers has no model class OPTForCausalML; "
        "did you mean OPTForCausalLM",
    ):
        prepare_model(replace(entry, model_class="OPTForCausalML"), tmp_path / "m.json", words)
    with pytest.raises(UserError, match=r"^config key models\.\S+: OPTConfig is the class of no model"):
        prepare_model(replace(entry, model_class="OPTConfig"), tmp_path / "m.json", words)
    config = json.loads((tmp_path / "made/config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    (tmp_path / "made/config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"quantized weights.*allow_quantized"):
        prepare_model(there, tmp_path / "card.json")


def test_a_model_of_another_architecture_is_reported_in_one_line(words, tmp_path):
    entry = language_architectures()["LlamaForCausalLM"]
    prepare_model(entry, tmp_path / "made.json", words)
    wrong = replace(entry, build=None, path=str(tmp_path / "made"), model_class="OPTForCausalLM", config={})
    stated = r"architecture\.class: OPTForCausalLM is of type opt, but .*made is of type llama; correct it"
    with pytest.raises(UserError, match=stated) as error:
        prepare_model(wrong, tmp_path / "card.json")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "card.json").exists()


@pytest.mark.parametrize(("published", "warned"), [("float32", True), ("bfloat16", False), (None, True)])
def test_weights_of_another_precision_than_foretold_are_reported(words, tmp_path, capsys, published, warned):
    entry = language_architectures()["LlamaForCausalLM"]
    prepare_model(entry, tmp_path / "made.json", words)
    config = json.loads((tmp_path / "made/config.json").read_text())
    config["dtype"] = published
    (tmp_path / "made/config.json").write_text(json.dumps(config))
    there = replace(entry, build=None, path=str(tmp_path / "made"))
    capsys.readouterr()
    for dtype, stated in (("float16", warned), ("float32", not warned)):
        prepare_model(replace(there, dtype=dtype), tmp_path / "card.json")
        assert (f"WARNING {there.where}.dtype: is {dtype}, but" in capsys.readouterr().err) == stated


def fake_cache(folder, entry, words):
    """A hub cache as `huggingface_hub` lays it out."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    repo = folder / f"models--{entry.hub.replace('/', '--')}"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / entry.revision).write_text(commit)
    prepare_model(replace(small(entry), slug=entry.slug), folder / "build.json", words)
    (repo / "snapshots").mkdir()
    (folder / "build").rename(repo / "snapshots" / commit)
    return commit


def test_a_snapshot_is_taken_from_the_cache_offline(words, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    entry = REGISTRY["opt-125m"]
    commit = fake_cache(tmp_path, entry, words)
    there = replace(small(entry), build=None, hub=entry.hub)
    card = prepare_model(there, tmp_path / "card.json", cache_dir=tmp_path)
    assert card["weights_id"] == f"facebook/opt-125m@{commit}"
    with pytest.raises(UserError, match=r"opt-1\.3b.*not in the local cache.*fetch the models first"):
        fetch_snapshot(REGISTRY["opt-1.3b"], tmp_path)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (hub_errors.GatedRepoError, "is gated; accept its licence at huggingface.co/google/gemma-2-2b"),
        (hub_errors.RepositoryNotFoundError, "the hub has no google/gemma-2-2b"),
        (hub_errors.RevisionNotFoundError, "has no revision main"),
        (hub_errors.LocalEntryNotFoundError, "hub cannot be reached"),
        (hub_errors.HfHubHTTPError, "could not be fetched"),
    ],
)
def test_the_hubs_refusals_are_one_line(error, says, monkeypatch):
    def refuse(*_, **__):
        import httpx2 as httpx

        if issubclass(error, hub_errors.HfHubHTTPError):
            response = httpx.Response(403, request=httpx.Request("GET", "https://hub"))
            raise error("refused\nand more", response=response)
        raise error("refused")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(UserError, match=says) as caught:
        fetch_snapshot(REGISTRY["gemma-2-2b"])
    assert "\n" not in str(caught.value)


def test_untrained_variants_have_an_identity_of_their_own(words, tmp_path):
    ids = {
        prepare_model(replace(REGISTRY["tiny-opt-4"], untrained=u, seed=s), tmp_path / "m.json", words)[
            "weights_id"
        ]
        for u, s in ((False, 0), (True, 0), (True, 1))
    }
    assert len(ids) == 3
