"""A GGUF file, written here tensor by tensor as llama.cpp does, is the model it was made of."""

import json
from dataclasses import replace

import gguf
import numpy as np
import pytest
import torch
from tiny_models import WORDS, registry, small
from transformers import AutoModelForCausalLM, AutoTokenizer

from voxscale.errors import UserError
from voxscale.models.build import build_model
from voxscale.models.prepare import prepare_model

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
TOP = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def interleave(weight, heads):
    """llama.cpp keeps the two halves of a rotated head interleaved."""
    out, inner = weight.shape
    return weight.reshape(heads, 2, out // heads // 2, inner).swapaxes(1, 2).reshape(out, inner)


def write_gguf(path, model, tokenizer):
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    tokens += [f"<unused{i}>" for i in range(config.vocab_size - len(tokens))]
    special = set(tokenizer.all_special_tokens)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in special else 1 for token in tokens])
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    merges = [m if isinstance(m, str) else " ".join(m) for m in state["model"]["merges"]]
    writer.add_token_merges(merges)
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    for name, tensor in model.state_dict().items():
        values, stem = tensor.float().numpy(), name.removesuffix(".weight")
        if stem in TOP:
            target = TOP[stem]
        else:
            _, _, block, rest = stem.split(".", 3)
            target = f"blk.{block}.{NAMES[rest]}"
            if rest == "self_attn.q_proj":
                values = interleave(values, config.num_attention_heads)
            if rest == "self_attn.k_proj":
                values = interleave(values, config.num_key_value_heads)
        writer.add_tensor(f"{target}.weight", np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gguf")
    entry = replace(small(registry()["llama-7b"]), slug="mine")
    build_model(entry, folder / "plain", [" ".join(WORDS)])
    model = AutoModelForCausalLM.from_pretrained(folder / "plain").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder / "plain")
    (folder / "packed").mkdir()
    write_gguf(folder / "packed/tiny.gguf", model, tokenizer)
    return folder, entry, model, tokenizer


@pytest.mark.filterwarnings("ignore")
def test_a_gguf_file_is_the_model_it_was_made_of(made, tmp_path):
    folder, entry, model, tokenizer = made
    packed = replace(entry, build=None, path=str(folder / "packed"), gguf_file="tiny.gguf")
    card = prepare_model(packed, tmp_path / "mine.json")
    assert card["n_layers"] == model.config.num_hidden_layers
    read = AutoModelForCausalLM.from_pretrained(card["path"]).eval()
    ids = tokenizer(" ".join(WORDS[:6]), return_tensors="pt")["input_ids"]
    again = AutoTokenizer.from_pretrained(card["path"])(" ".join(WORDS[:6]), add_special_tokens=False)
    assert again["input_ids"] == ids[0, 1:].tolist()  # behind the first token
    with torch.inference_mode():
        torch.testing.assert_close(read(ids).logits, model(ids).logits, rtol=1e-4, atol=1e-5)
    with pytest.raises(UserError, match=r"has no other\.gguf"):
        prepare_model(replace(packed, gguf_file="other.gguf"), tmp_path / "mine.json")
    with pytest.raises(UserError, match=r"architecture.width: is 64, but .* has 32"):
        prepare_model(replace(packed, width=64), tmp_path / "mine.json")
