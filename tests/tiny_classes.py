"""Every language and speech class of the installed transformers at tiny size, with random weights.

A class's own default configuration is shrunk by the names of its settings; `OVER` has what these do not say.
"""

import copy
import re

import torch
import transformers
from transformers import CONFIG_MAPPING
from transformers.models.auto import modeling_auto
from transformers.models.auto.feature_extraction_auto import FEATURE_EXTRACTOR_MAPPING_NAMES as EXTRACTORS

from voxscale.models.build import train_tokenizer

LAYERS, WIDTH, HEADS, HEAD_DIM, VOCAB = 2, 32, 4, 8, 400
# The most that settings of these names become; the names are regular expressions.
SIZES = [
    (VOCAB, "(.*_)?vocab_size(_.*)? n_tokens vocab_offset"),
    (
        LAYERS,
        "(.*_)?num_hidden_layers (.*_)?n_layers? (.*_)?num_layers (.*_)?(en|de)coder_layers depth num_blocks",
    ),
    (HEADS // 2, "(.*_)?num_(key_value|kv|key)_heads kv_n_heads num_query_groups .*n_groups o_groups"),
    (2 * HEADS, "mamba_n_heads"),
    (HEADS, "(.*_)?attention_heads (.*_)?num_heads (.*_)?n_heads? .*value_heads"),
    (2 * HEAD_DIM, "qk_head_dim"),
    (HEAD_DIM, "(.*_)?head_dim (.*_)?head_size (.*_)?d_head (.*_)?dim_head d_kv kv_channels rotary_dim"),
    (
        HEAD_DIM,
        "(.*_)?lora_rank laurel_rank adapter_rank .*dt_rank time_step_rank hc_lowrank split_ngram_parts",
    ),
    (HEAD_DIM, "hidden_size_per_layer_input codebook_dim .*state_size mamba_d_state"),
    (
        WIDTH,
        "(.*_)?hidden_size(_global)? (.*_)?d_model (.*_)?n_embd (.*_)?embed_dim (.*_)?embedding_(size|dim)",
    ),
    (WIDTH, "hidden_dim dim_model word_embed_proj_dim model_dim projection_dim emb_dim lru_width input_size"),
    (WIDTH, "output_dim conv_channels upsample_groups"),
    (2 * WIDTH, "(.*_)?intermediate_size(_mlp)? (.*_)?ffn_dim (.*_)?ffn_hidden_size dff dim_ff d_inner d_ff"),
    (2 * WIDTH, "inner_dim n_inner mlp_dim feed_forward_size .*d_ssm"),
    (4, "num_experts n_routed_experts num_local_experts moe_num_experts zero_expert_num"),
    (2, "num_experts_per_tok(en)? moe_topk? moe_top_k moe_k num_filters n_filters"),
    (1, "n_group topk_group num_expert_group n_shared_experts first_k_dense_replace num_dense_layers"),
    (7, "sliding_window(_size)? attention_window_size attention_chunk_size"),
    (8, "(mamba_)?chunk_size"),
    (16, "conv_dim tdnn_dim xvector_output_dim classifier_proj_size (proj_)?codevector_dim"),
    (100, "max_source_positions"),  # two seconds
    (512, "(.*_)?max_position_embeddings n_positions n_ctx max_seq_len context_length model_max_length"),
    (512, "max_.*_positions"),
]
WHERE_NONE = {
    "head_dim": HEAD_DIM,
    "num_key_value_heads": HEADS // 2,
}  # derived by some classes, missed by others
DERIVED = (
    "per_layer_config",
    "model_type",
    "transformers_version",
    "architectures",
    "id2label",
    "label2id",
    "mamba_headdim",
    "attention_hidden_size",
    "attention_head_dim",
)
MAMBA2 = {"mamba_n_heads": 8, "mamba_d_head": 8}
QWEN4 = {
    "indexer_n_heads": 4,
    "indexer_kv_heads": 1,
    "indexer_head_dim": 8,
    "indexer_budget": 16,
    "indexer_compress_ratio": 4,
}
# Model type -> settings, or nested ones.
OVER = {
    "bamba": MAMBA2 | {"attn_layer_indices": [1]},
    "blt": {"encoder_hash_byte_group_vocab": 50},
    "cohere_compass_text": {
        "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e4}}
    },
    "dbrx": {"attn_config": {"rope_theta": 1e4, "clip_qkv": 8.0}},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "doge": {"num_experts": 16},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "dots3_note_text": {"head_dim": 16, "per_layer_config": {}},
    "dots3_note": {
        "text_config": {"head_dim": 16, "per_layer_config": {}},
        "vision_config": {"adapter_in_dim": WIDTH, "adapter_out_dim": WIDTH},
        "audio_config": {"adapter_input_size": WIDTH, "adapter_out_dim": WIDTH},
    },
    "emu3": {"vocabulary_map": {"<image>": VOCAB - 1}},
    "falcon_h1": MAMBA2,
    "fun_asr_nano": {"adaptor_config": {"intermediate_size": HEAD_DIM}},
    "gemma3n_text": {
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "num_hidden_layers": 4,
        "intermediate_size": [64] * 4,
        "activation_sparsity_pattern": [0.5, 0.0] * 2,
        "num_kv_shared_layers": 2,
    },
    "gradium_phonon_tts": {"flow_head_config": {"condition_dim": WIDTH}},
    "granitemoehybrid": MAMBA2 | {"layer_types": ["linear_attention", "full_attention"]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "mamba2": {"num_heads": 8},
    "moonshine_streaming": {"num_key_value_heads": HEADS},
    "pocket_tts": {"flow_head_config": {"condition_dim": WIDTH}},
    "qwen4_exp_text": QWEN4,
    "qwen4_exp": {"text_config": QWEN4},
    "reformer": {"is_decoder": True, "axial_pos_embds_dim": [16, 16], "axial_pos_shape": [16, 32]},
    "wav2vec2-bert": {"vocab_size": VOCAB},
    "wav2vec2-conformer": {"vocab_size": VOCAB},
    "xlstm": {"embedding_dim": WIDTH},
    "xmod": {"default_language": "en_XX"},
    "zamba": {"layers_block_type": ["linear_attention", "hybrid"] * 2, "num_hidden_layers": 4},
    "zamba2": {
        "n_mamba_heads": 8,
        "layers_block_type": ["linear_attention", "hybrid"] * 2,
        "num_hidden_layers": 4,
        "hybrid_layer_ids": [1, 3],
    },
}
EXTRACTOR_OF = {  # what the published models of a type have
    "moonshine_streaming": "Wav2Vec2FeatureExtractor",
    "speech-encoder-decoder": "Wav2Vec2FeatureExtractor",
    "wav2vec2-bert": "SeamlessM4TFeatureExtractor",
}
SAME_BINS = (
    "ParakeetFeatureExtractor",
    "StreamingFeatureExtractor",
    "LasrFeatureExtractor",
    "WhisperFeatureExtractor",
)
EXTRACTOR_OVER = {"WhisperFeatureExtractor": {"chunk_length": 2}}


def shrunk(values):
    """One configuration's settings, and those nested in it, made small."""
    depth = next(
        (values[k] for k in ("num_hidden_layers", "n_layer", "num_layers", "n_layers") if values.get(k)), 0
    )
    lists = [v for v in values.values() if isinstance(v, list) and len(v) == depth > 4]
    kinds = [str(kind) for kind in zip(*lists, strict=True)]
    kept = sorted(map(kinds.index, set(kinds)))[:4]  # one layer of each kind
    if len(kept) < LAYERS:
        kept = list(range(LAYERS))
    found = {}
    for key, value in values.items():
        if key in DERIVED:
            continue
        if isinstance(value, dict) and "model_type" in value:
            value = shrunk(value) | {"model_type": value["model_type"]}
        elif isinstance(value, list) and len(value) == depth > 4:
            value = [_size(key, value[k], len(kept)) for k in kept]
        else:
            value = (
                [_size(key, v, 0) for v in value] if isinstance(value, list) else _size(key, value, len(kept))
            )
            heads = key.replace("key_value", "attention")
            if heads != key and values[key] == values.get(
                heads
            ):  # fewer than the queries' only where they were
                value = HEADS
        found[key] = value
    return found


def _size(key, value, n_layers):
    if value is None:
        return WHERE_NONE.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    if found := re.fullmatch(r"(pad|bos|eos|decoder_start|sep|cls|unk|mask)_token_id", key):
        return {"pad": 0, "bos": 1, "eos": 2}.get(found[1], 3)
    if re.search(r"_token_(id|index)$", key):
        return VOCAB - 1 - value % 50  # in the vocabulary, and in no text
    for most, names in SIZES:
        if re.fullmatch(names.replace(" ", "|"), key):
            return min(value, n_layers if "num_hidden_layers" in names else most)
    return value


def _merged(values, over):
    for key, value in over.items():
        values[key] = (
            _merged(values[key], value)
            if isinstance(value, dict) and isinstance(values.get(key), dict)
            else value
        )
    return values


def small_config(model_type):
    kind = CONFIG_MAPPING[model_type]
    values = shrunk(copy.deepcopy(kind().to_dict()))
    return kind(**_merged(values, OVER.get(model_type, {})))


def language_rows():
    """(model type, class) of every causal LM, as transformers lists them."""
    return list(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items())


def speech_rows():
    """(model type, class) of every model that has a feature extractor for sound, or a head for speech."""
    base, heads = modeling_auto.MODEL_MAPPING_NAMES, []
    for kind in (
        *("CTC", "AUDIO_CLASSIFICATION", "AUDIO_FRAME_CLASSIFICATION", "AUDIO_XVECTOR"),
        *("SPEECH_SEQ_2_SEQ", "RNNT", "TDT"),
    ):
        heads += getattr(modeling_auto, f"MODEL_FOR_{kind}_MAPPING_NAMES").items()
    return sorted({*((name, base[name]) for name in EXTRACTORS if name in base), *heads})


def _whole_class(model_type, cls, config):
    """The class that a model is published as, of which a causal class may be one part."""
    kind = getattr(transformers, cls)
    if isinstance(config, kind.config_class) or not config.sub_configs:
        return kind
    listed = ("MODEL_FOR_MULTIMODAL_LM", "MODEL_FOR_TEXT_TO_WAVEFORM", "MODEL")
    names = (getattr(modeling_auto, f"{name}_MAPPING_NAMES") for name in listed)
    return getattr(transformers, next((found[model_type] for found in names if model_type in found), cls))


def _enlarge(model):
    """Make random weights so large that every word and every sound matters."""
    for name, values in model.named_parameters():
        if not values.is_floating_point() or not values.numel():
            continue
        if values.dim() > 1 and float(values.std()) < 0.05 and "A_log" not in name:
            values.data.normal_(0, values.shape[-1] ** -0.5)
        elif name.endswith("bias"):
            values.data.add_(torch.randn_like(values), alpha=0.1)


def _mel_bins(values):
    """Bands of the spectrogram that a configuration, or one nested in it, asks for."""
    nested = (value for key, value in values.items() if isinstance(value, dict) and "config" in key)
    return values.get("num_mel_bins") or next(filter(None, map(_mel_bins, nested)), None)


def _extractor(model_type, config):
    name = EXTRACTOR_OF.get(model_type) or EXTRACTORS[model_type]
    settings, bins = EXTRACTOR_OVER.get(name, {}), _mel_bins(config.to_dict())
    made = getattr(transformers, name)(**settings)
    if bins and name.endswith(SAME_BINS) and made.feature_size != bins:
        made = type(made)(feature_size=bins, **settings)
    return made


def build(model_type, cls, folder, words=None):
    """Save a tiny model of the class in the hub's format, with a tokenizer or a feature extractor.

    Args:
        words: of a language model's tokenizer.

    Returns:
        the model.
    """
    config = small_config(model_type)
    torch.manual_seed(0)
    model = _whole_class(model_type, cls, config)(config).eval()
    _enlarge(model)
    model.save_pretrained(folder)
    front = train_tokenizer([" ".join(words)], 300) if words else _extractor(model_type, config)
    front.save_pretrained(folder)
    return model
