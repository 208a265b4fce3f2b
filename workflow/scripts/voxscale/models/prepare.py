"""One model card per model: where it lies, what it is, how many parameters it has."""

import contextlib
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from voxscale import provenance
from voxscale.errors import UserError, first_line, naming
from voxscale.io import read_json, sha256_file, tables, write_json
from voxscale.models.digests import digest_files, digest_folder, stored_dtypes
from voxscale.models.opening import NO_OWN_CODE, open_config, open_extractor, open_tokenizer
from voxscale.models.registry import DTYPE_BYTES, OWN, ModelEntry
from voxscale.models.shape import depth, part, published_dtype


def _texts(words: Iterable[str | Path]) -> list[str]:
    return [" ".join(tables.read("words", path, ["word"])["word"].to_pylist()) for path in words]


def _convert_gguf(entry: ModelEntry, source: Path, folder: Path) -> None:
    """Unpack a GGUF file once into the hub's format: reading it takes longer than a short story's pass."""
    import torch
    from transformers import AutoModelForCausalLM

    with _readable(entry, source / str(entry.gguf_file)):
        open_tokenizer(source, gguf_file=entry.gguf_file).save_pretrained(folder)
        read = AutoModelForCausalLM.from_pretrained(
            source, gguf_file=entry.gguf_file, dtype=torch.float32, **NO_OWN_CODE
        )
    # A model that came from a GGUF file refuses to be saved; the same weights in a plain one do not.
    config = read.config
    del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(read.state_dict())
    plain.save_pretrained(folder)


@contextlib.contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A folder to write to, which takes the place of the other once it is whole."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a job that was killed
    try:
        yield part
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def _readable(entry: ModelEntry, what: Path) -> Iterator[None]:
    """Tell what transformers cannot read as a user's mistake, with the entry's key."""
    try:
        yield
    except UserError as error:
        raise error if str(error).startswith(entry.where) else UserError(f"{entry.where}: {error}") from None
    except Exception as error:  # each configuration, tokenizer and format has exceptions of its own
        raise UserError(
            f"{entry.where}: {what}: cannot be read; get the whole model again ({first_line(error)})"
        ) from None


def _check_front(entry: ModelEntry, folder: Path) -> None:
    """Load the tokenizer or feature extractor, since without it the extraction would fail much later.

    Raises:
        UserError: it is missing, or a tokenizer does not give the positions of its tokens in the text.
    """
    if entry.modality == "speech":
        open_extractor(folder)
        return
    if not any(folder.glob("*token*")) and not any(folder.glob("vocab*")):
        raise UserError(f"{entry.where}: {folder} has no tokenizer; put the model's own there")
    tokenizer = open_tokenizer(folder)
    if not tokenizer.is_fast:
        raise UserError(f"{entry.where}: {folder} has a tokenizer without offsets; add its tokenizer.json")


def _check_shape(entry: ModelEntry, whole: Any, where: str) -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    from voxscale.models.counting import model_class

    with naming(f"{entry.where}: {where}"):
        config, n_layers = part(whole, entry.modality), depth(whole, entry.modality)
    kind = model_class(entry).config_class.model_type
    # The class of some types is another type's (internlm3: LlamaForCausalLM).
    shared = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(whole.model_type) == entry.model_class
    if kind not in (whole.model_type, config.model_type) and not shared:
        raise UserError(
            f"{entry.where}.architecture.class: {entry.model_class} is of type {kind}, but {where} "
            f"is of type {whole.model_type}; correct it"
        )
    for key, value in {
        "n_layers": n_layers,
        "width": getattr(config, "hidden_size", None),
        "heads": getattr(config, "num_attention_heads", None),  # a recurrent model has none
        "vocab": getattr(config, "vocab_size", None),
    }.items():
        expected = getattr(entry, key)
        if None not in (expected, value) and expected != value:
            raise UserError(
                f"{entry.where}.architecture.{key}: is {expected}, but {where} has {value}; correct it"
            )


def _check_dtype(entry: ModelEntry, config: Any, where: str) -> None:
    """Warn if memory is estimated for another precision than the published one."""
    published = published_dtype(config)
    if DTYPE_BYTES.get(published, 4) != entry.weight_bytes:
        print(
            f"WARNING {entry.where}.dtype: is {entry.dtype}, but {where} has {published}; set it, since "
            "it is used for the estimates of memory and GPUs",
            file=sys.stderr,
        )


def _get(entry: ModelEntry, folder: Path, words: Iterable[str | Path], cache_dir: Any) -> tuple[Path, str]:
    """Folder of the model's files, and the identity of its weights; "" where their digest is the identity."""
    from voxscale.models import hub
    from voxscale.models.build import build_model

    if entry.build is not None:
        with _whole(folder) as part:
            build_model(entry, part, _texts(words))
        return folder, ""
    if entry.path is not None:
        source = hub.local_folder(entry)
        if entry.gguf_file is None:
            return source, ""
        identity = sha256_file(source / entry.gguf_file)
    elif entry.hub is not None:
        source = hub.fetch_snapshot(entry, cache_dir)
        if entry.gguf_file is None:
            return source, f"{entry.hub}@{source.name}"
        identity = f"{entry.hub}@{source.name}/{entry.gguf_file}"
    else:
        raise UserError(f"{entry.where}: its weights are not on the hub; set path to a folder that has them")
    with _whole(folder) as part:
        _convert_gguf(entry, source, part)
    return folder, identity


def prepare_model(
    entry: ModelEntry,
    card_path: str | Path,
    words: Iterable[str | Path] = (),
    cache_dir: str | Path | None = None,
    allow_quantized: bool = False,
    source: str | Path | None = None,
    files: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Build or fetch one model and write its card.

    Args:
        entry: of the model.
        card_path: `results/models/<model>.json`; a built or converted model is written next to it.
        words: word tables (parquet) that a built language model's tokenizer is trained on.
        cache_dir: the hub's cache; by default that of `huggingface_hub`.
        allow_quantized: take weights stored in less than 16 bits (a named GGUF file is always taken).
        source: card of the model that this one's features are reduced from; sizes are that one's.
        files: digest of each of the user's own files of features or of vectors.

    Returns:
        the card.

    Raises:
        UserError: it is not available, is quantized without permission, or differs from the entry.
    """
    card: dict[str, Any] = {
        "model": entry.slug,
        "modality": entry.modality,
        "n_layers": entry.n_layers,
        "width": entry.width,
        "parameters": None,
        "parameters_non_embedding": None,
    }
    if source:
        card = read_json(source) | {key: card[key] for key in ("model", "modality", "width")}
        card["source"] = entry.source
    if entry.has_network:
        card |= _network(entry, Path(card_path), words, cache_dir, allow_quantized)
    if entry.modality in OWN:
        card |= {"path": entry.path, "at": entry.at, "layers": list(entry.layers or ()), "files": files}
    card |= {"dims": entry.dims, "noise": entry.noise, "control": entry.control}
    card |= {"provenance": provenance.collect()}
    write_json(card_path, card)
    return card


def _network(
    entry: ModelEntry, card_path: Path, words: Iterable[str | Path], cache_dir: Any, allow_quantized: bool
) -> dict[str, Any]:
    from voxscale.models.counting import count_parameters, model_class
    from voxscale.models.quiet import silence

    silence()
    folder, identity = _get(entry, card_path.with_suffix(""), words, cache_dir)
    files = digest_files(folder)
    identity = identity or digest_folder(files)
    with _readable(entry, folder):
        stored_dtypes(folder)
        config = open_config(folder)
        _check_front(entry, folder)
    _check_shape(entry, config, str(folder))
    _check_dtype(entry, config, str(folder))
    if getattr(config, "quantization_config", None) and not allow_quantized:
        raise UserError(
            f"{entry.where}: {folder} holds quantized weights; take a full model, "
            "or set features.allow_quantized: true"
        )
    counts = count_parameters(model_class(entry), config)
    return {
        "path": str(folder),
        "files": files,
        "hub": entry.hub,
        "revision": entry.revision,
        "weights_id": f"{identity}#untrained-{entry.seed}" if entry.untrained else identity,
        "untrained": entry.untrained,
        "seed": entry.seed,
        "architecture": entry.model_class,
        "heads": entry.heads,
        "vocab": entry.vocab,
        "parameters": counts.total,
        "parameters_non_embedding": counts.non_embedding,
        "parameters_whole": counts.whole,
    }
