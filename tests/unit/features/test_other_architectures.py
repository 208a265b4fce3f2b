"""Language models that are not plain transformers, or not causal: right, or refused for what they are."""

from dataclasses import replace

import numpy as np
import pytest
import tiny_models
import torch
import transformers
from tiny_models import SETTINGS, WORDS, pass_per_word, passage_of

from voxscale.errors import UserError
from voxscale.features.language_model import LanguageModel
from voxscale.models.build import train_tokenizer
from voxscale.models.prepare import prepare_model

torch.set_num_threads(1)
TEXT = {"vocab_size": 400, "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}
PLAIN = TEXT | {"hidden_size": 32, "num_hidden_layers": 3, "initializer_range": 0.2}
HEADS = PLAIN | {"num_attention_heads": 4, "intermediate_size": 64}
DECODER = TEXT | {
    "decoder_layers": 3,
    "encoder_layers": 2,
    "decoder_attention_heads": 4,
    "encoder_attention_heads": 4,
    "d_model": 32,
    "decoder_ffn_dim": 64,
    "encoder_ffn_dim": 64,
    "max_position_embeddings": 128,
}
ALONE = {"is_decoder": True, "is_encoder_decoder": False}
STATE = {"state_size": 8, "expand": 2}
MODELS = {
    "mamba": ("MambaForCausalLM", PLAIN | STATE),
    "falcon-mamba": ("FalconMambaForCausalLM", PLAIN | STATE),
    "mamba2": ("Mamba2ForCausalLM", PLAIN | STATE | {"num_heads": 8, "head_dim": 8, "chunk_size": 8}),
    # It halves its states behind every second block.
    "rwkv": ("RwkvForCausalLM", PLAIN | {"attention_hidden_size": 32, "rescale_every": 2}),
    "xlstm": ("xLSTMForCausalLM", PLAIN | {"num_blocks": 3, "num_heads": 4, "embedding_dim": 32}),
    "bart": ("BartForCausalLM", DECODER | ALONE),
    "prophetnet": (
        "ProphetNetForCausalLM",
        TEXT
        | ALONE
        | {"num_decoder_layers": 3, "num_encoder_layers": 2, "hidden_size": 32, "decoder_ffn_dim": 64}
        | {"num_decoder_attention_heads": 4, "num_encoder_attention_heads": 4, "encoder_ffn_dim": 64},
    ),
    "roberta": (
        "RobertaForCausalLM",
        HEADS | {"is_decoder": True, "max_position_embeddings": 40, "pad_token_id": 0},
    ),
    "mpt": ("MptForCausalLM", TEXT | {"d_model": 32, "n_layers": 3, "n_heads": 4, "max_seq_len": 40}),
    "deepseek-v4": (
        "DeepseekV4ForCausalLM",
        HEADS
        | {
            "num_key_value_heads": 1,
            "head_dim": 8,
            "qk_rope_head_dim": 4,
            "q_lora_rank": 16,
            "o_lora_rank": 8,
        }
        | {"o_lora_rank": 8, "o_groups": 2, "index_n_heads": 2, "index_head_dim": 8, "n_routed_experts": 4}
        | {"num_experts_per_tok": 2, "moe_intermediate_size": 16, "sliding_window": 7},
    ),
    "gemma-3n": (
        "Gemma3nForCausalLM",
        HEADS
        | {"num_key_value_heads": 2, "head_dim": 8, "laurel_rank": 4, "num_kv_shared_layers": 0}
        | {"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 400, "sliding_window": 7}
        | {
            "activation_sparsity_pattern": None,
            "layer_types": ["sliding_attention"] * 2 + ["full_attention"],
        },
    ),
    "llama-4": (
        "Llama4ForCausalLM",
        HEADS
        | {"num_key_value_heads": 2, "head_dim": 8, "num_local_experts": 2, "intermediate_size_mlp": 64},
    ),
}

SHIFTED = ("mamba", "falcon-mamba", "mamba2", "rwkv")  # report what leaves each block, and the normed last


def save(name, folder, **over):
    """A tiny model in the hub's format; its card."""
    cls, config = MODELS.get(name, (name, HEADS | {"max_position_embeddings": 128}))
    model_class = getattr(transformers, cls)
    torch.manual_seed(0)
    model = model_class(model_class.config_class(**config | over))
    for key, values in model.named_parameters():
        if key.endswith("bias"):
            values.data.normal_(0, 0.1)
    model.save_pretrained(folder)
    train_tokenizer([" ".join(WORDS)], 400).save_pretrained(folder)
    return {"model": name, "path": str(folder), "n_layers": 3, "weights_id": name, "untrained": False}


@pytest.mark.parametrize("name", MODELS)
def test_other_architectures_equal_a_pass_per_word(name, tmp_path):
    model = LanguageModel(save(name, tmp_path), SETTINGS)
    assert (model.reader.blocks is None) == (name == "prophetnet")
    passage = passage_of(model)
    found, nats = model.mixed_states(passage, np.eye(passage.n_states))
    states, expected_nats = pass_per_word(model)
    for word, layers in enumerate(states):
        if name in SHIFTED:
            layers = [found[0][passage.owner[word]], *layers[:-2], layers[-1]]
        for k, expected in enumerate(layers):
            np.testing.assert_allclose(found[k][passage.owner[word]], expected, atol=1e-4)
    assert nats.sum() == pytest.approx(expected_nats, rel=1e-5)


def test_bidirectional_models_are_refused_however_small_their_weights(tmp_path):
    for i, size in enumerate((0.2, 0.002)):
        card = save("BertLMHeadModel", tmp_path / str(i), initializer_range=size)
        with pytest.raises(UserError, match=r"not causal; use a causal one"):
            LanguageModel(card, SETTINGS)
    LanguageModel(save("BertLMHeadModel", tmp_path / "causal", is_decoder=True), SETTINGS)


def changed(card, change):
    """Change a saved model's weights in place."""
    model = transformers.AutoModelForCausalLM.from_pretrained(card["path"])
    with torch.no_grad():
        change(model.model.layers[1].mlp.down_proj.weight)
    model.save_pretrained(card["path"])
    return card


def test_damaged_weights_and_an_overflow_are_refused_for_what_they_are(tmp_path):
    card = changed(save("LlamaForCausalLM", tmp_path), lambda weight: weight[0].fill_(np.nan))
    with pytest.raises(UserError, match=r"gives NaN.*get the whole model again"):
        LanguageModel(card, SETTINGS)
    card = changed(save("LlamaForCausalLM", tmp_path), lambda weight: weight.fill_(6e4))
    with pytest.raises(UserError, match=r"overflows in float16; set features\.text\.dtype: bfloat16"):
        LanguageModel(card, SETTINGS | {"dtype": "float16"})


def test_an_encoder_decoder_is_refused_for_what_it_is(tmp_path):
    save("BartModel", tmp_path, **DECODER)
    entry = tiny_models.language_architectures()["OPTForCausalLM"]
    entry = replace(entry, build=None, path=str(tmp_path), model_class="BartForCausalLM", n_layers=3)
    with pytest.raises(UserError, match=r"is an encoder-decoder.*use a decoder-only model"):
        prepare_model(entry, tmp_path / "card.json")


def test_a_recurrent_model_passes_the_check_of_its_shape(tmp_path):
    save("mamba", tmp_path / "model")
    entry = tiny_models.language_architectures()["OPTForCausalLM"]
    entry = replace(entry, build=None, path=str(tmp_path / "model"), model_class="MambaForCausalLM")
    assert prepare_model(replace(entry, n_layers=3), tmp_path / "card.json")["n_layers"] == 3
    with pytest.raises(UserError, match=r"architecture\.n_layers: is 5, but .* has 3"):
        prepare_model(replace(entry, n_layers=5), tmp_path / "card.json")


@pytest.mark.parametrize(("name", "limit"), [("mpt", 40), ("roberta", 39)])
def test_a_text_longer_than_the_model_takes_is_refused(tmp_path, name, limit):
    model = LanguageModel(save(name, tmp_path), SETTINGS | {"max_context": 60, "restart_at": 30})
    with pytest.raises(UserError, match=rf"more than the {limit} that the model takes; lower features.text"):
        passage_of(model, WORDS * 3)


def test_tokens_that_the_model_does_not_have_are_refused(tmp_path):
    model = LanguageModel(save("LlamaForCausalLM", tmp_path, vocab_size=300), SETTINGS)
    with pytest.raises(UserError, match=r"tokenizer gives token \d+, but the model has 300"):
        passage_of(model)
