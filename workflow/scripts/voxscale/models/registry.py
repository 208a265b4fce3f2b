"""Model entries, of models.yaml and of a study's `models:`; checking them needs no torch and no network."""

import math
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxscale.errors import UserError, hint, near_names
from voxscale.io import SCHEMAS

MODELS = Path(__file__).with_name("models.yaml")  # entries that every study has
_KINDS = {
    **dict.fromkeys(("hub", "revision", "family", "path", "gguf_file", "control", "dtype"), str),
    **dict.fromkeys(("seed", "dims"), int),
    **dict.fromkeys(("gated", "untrained"), bool),
    "build": Mapping,
    "context": Mapping,
    "columns": Mapping,
}
DTYPE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}  # bytes of a published weight
COUNTED = ("parameters", "parameters_non_embedding")  # of models with a network
MEASURED = {"hours", "stories", "trs", *SCHEMAS["summary"].names} - {*COUNTED}  # names of the workflow's own
CONTROLS = ("word_rate", "phoneme_rate", "mel", "time_since_onset", "autocorrelation")
OWN = ("features", "embeddings")  # modalities whose files are the user's own
_MODALITIES = ("language", "speech", "control", "nested", *OWN)
_TIMES = "words, trs, {rate_hz: <number>, start_s: <number>} or {times: <name of a column or array>}"
_KEYS = frozenset(
    [
        *("like", "hub", "revision", "family", "modality", "architecture", "gated", "build", "path"),
        *("gguf_file", "untrained", "seed", "dims", "noise", "control", "dtype", "context"),
        *("at", "columns"),
    ]
)
_NEEDED = {"class": str, "n_layers": int, "width": int}  # of an architecture
_ARCHITECTURE = {**_NEEDED, "heads": int, "vocab": int, "config": Mapping}
_KIND_NAMES = {str: "text", int: "a whole number", bool: "true or false", Mapping: "a mapping"}


@dataclass(frozen=True)
class ModelEntry:
    """One model as its entry describes it.

    Attributes:
        slug: file-safe name.
        modality: language, speech, control, nested, features or embeddings.
        family: what a figure draws as one line.
        n_layers: layers behind the embedding output (layer 0); 0 for controls and nested features.
        width: features per layer; None for a control whose width follows from its settings.
        heads, vocab: number of attention heads and size of the vocabulary, or None.
        model_class: class of `transformers`; None for controls and nested features.
        config: further settings of that class's config, under its own names.
        hub, revision: repository on the hub and its branch, tag or commit.
        gated: whether the hub asks to accept a licence first.
        dtype: precision of the published weights, used on a GPU and for the memory estimate.
        path: a local folder in the hub's format; pattern of the files of own features, with `{story}`; or the
            text file of word embeddings.
        gguf_file: name of a GGUF file in `path` or on the hub.
        build: settings of a model to be built here with random weights (`seed`); None otherwise.
        untrained, seed: keep the shape, replace the weights by random ones of this seed.
        dims: leading dimensions of the phantom's latent (nested).
        noise: for each layer of a nested model, the deviation of the noise in it; the latent's own is 1.
        control: which control features (control).
        context: keys of `features.text` that differ for this model: unit, max_context, restart_at.
        source: model whose features are reduced (derived: not an entry of the file, but made for a study).
        at: what the rows of own features are: words, trs, or a mapping of rate_hz and start_s, or of times.
        layers: those that own features have, as their files say; None: all from 0 to n_layers.
        columns: numbers of the user's own that laws may run over, by name.
    """

    slug: str
    modality: str
    family: str
    n_layers: int = 0
    width: int | None = None
    heads: int | None = None
    vocab: int | None = None
    model_class: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    hub: str | None = None
    revision: str = "main"
    gated: bool = False
    dtype: str = "float16"
    path: str | None = None
    gguf_file: str | None = None
    build: Mapping[str, Any] | None = None
    untrained: bool = False
    seed: int = 0
    dims: int | None = None
    noise: Sequence[float] = field(default_factory=lambda: [0.0])
    control: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    source: str | None = None
    at: str | Mapping[str, Any] | None = None
    layers: Sequence[int] | None = None
    columns: Mapping[str, float] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """Where a user finds the entry."""
        return f"config key models.{self.slug}"

    @property
    def hears(self) -> bool:
        """Whether its features are computed from sound."""
        return self.modality == "speech" or self.control == "mel"

    @property
    def weight_bytes(self) -> int:
        """Bytes of one weight on the hub; models that are made here are in float32."""
        return 4 if self.build or self.gguf_file else DTYPE_BYTES[self.dtype]

    @property
    def has_network(self) -> bool:
        """Whether a network stands behind it (language and speech)."""
        return self.modality in ("language", "speech")

    @property
    def all_layers(self) -> Sequence[int]:
        """Its layers, ascending."""
        return self.layers or range(self.n_layers + 1)

    @property
    def folder(self) -> Path | None:
        """The folder on this machine that holds its files; None if it has none of its own."""
        if self.path is None or self.modality not in OWN:
            return Path(self.path) if self.path else None
        return Path(self.path.partition("{")[0] + "x").parent

    def story_files(self, story: str) -> dict[int | None, str]:
        """Files of a story's own features, by layer; by None one that may hold several layers."""
        path = str(self.path)
        layers = (self.layers or ()) if "{layer" in path else (None,)
        return {layer: path.format(story=story, layer=layer) for layer in layers}


def _resolve(slug: str, models: Mapping[str, Any], seen: tuple[str, ...] = ()) -> dict[str, Any]:
    """Follow `like:`, the entry's own keys winning over those of the entry it is like."""
    where = f"config key models.{slug}"
    entry = models[slug]
    if not isinstance(entry, Mapping):
        raise UserError(f"{where}: must be a mapping; see config/README.md")
    if unknown := sorted(str(key) for key in entry if key not in _KEYS):
        near = hint(unknown[0], sorted(_KEYS), most=len(_KEYS))
        raise UserError(f"{where}: unknown key {', '.join(unknown)}; {near}")
    if "like" not in entry:
        return dict(entry)
    other = entry["like"]
    if not isinstance(other, str) or other not in models or other in (*seen, slug):
        others = [name for name in models if name not in (*seen, slug)]
        raise UserError(f"{where}.like: {other} is not another entry; {hint(str(other), others)}")
    return {**_resolve(other, models, (*seen, slug)), **{k: v for k, v in entry.items() if k != "like"}}


def _architecture(where: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    architecture = raw.get("architecture")
    if not isinstance(architecture, Mapping):
        raise UserError(f"{where}.architecture: is missing; add {{class, n_layers, width}}")
    if unknown := sorted(str(key) for key in architecture if key not in _ARCHITECTURE):
        near = near_names(unknown[0], _ARCHITECTURE)
        advice = f"did you mean {near[0]}?" if near else "its place may be architecture.config"
        raise UserError(f"{where}.architecture: unknown key {unknown[0]}; {advice}")
    for key, kind in _ARCHITECTURE.items():
        value = architecture.get(key)
        if value is None and key not in _NEEDED:
            continue
        if not _is(value, kind) or (kind is int and value < 1):
            wanted = f"{_KIND_NAMES[kind]} above 0" if kind is int else _KIND_NAMES[kind]
            raise UserError(f"{where}.architecture.{key}: is {value!r}; it must be {wanted}")
    return {
        "model_class": architecture["class"],
        "n_layers": architecture["n_layers"],
        "width": architecture["width"],
        "heads": architecture.get("heads"),
        "vocab": architecture.get("vocab"),
        "config": architecture.get("config") or {},
    }


def _is(value: Any, kind: Any) -> bool:
    """As isinstance, except that a bool is not a number."""
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _is_number(value: Any) -> bool:
    return _is(value, int | float) and math.isfinite(value)


def _is_deviation(value: Any) -> bool:
    return _is_number(value) and value >= 0


def _own_files(where: str, plain: Mapping[str, Any]) -> dict[str, Any]:
    """`path` and `at` of features of one's own, checked.

    Raises:
        UserError: one is missing, or cannot be.
    """
    path, at, features = plain.get("path"), plain.get("at"), plain["modality"] == "features"
    if not path:
        what = (
            "a path with {story} in it, such as features/{story}.npy" if features else "the path of its file"
        )
        raise UserError(f"{where}.path: is missing; modality {plain['modality']} needs {what}")
    try:
        fields = [(name, form) for _, name, form, _ in string.Formatter().parse(path) if name is not None]
    except ValueError:
        fields = [("?", "")]
    allowed = {"story": "", "layer": r"(0\d+)?"} if features else {}
    if wrong := [name for name, form in fields if not re.fullmatch(allowed.get(name, "-"), form or "")]:
        may = "{story}, {layer} or {layer:02}" if features else "no"
        raise UserError(f"{where}.path: {path} has braces other than {may}; remove {{{wrong[0]}}}")
    if not features:
        return {"layers": [0]}
    if "story" not in dict(fields):
        raise UserError(f"{where}.path: {path} must contain {{story}}, for a file of each story; add it")
    number = {"rate_hz": lambda x: _is_number(x) and x > 0, "start_s": _is_number}
    rate = isinstance(at, Mapping) and {"rate_hz"} <= set(at) <= set(number)
    if rate and all(number[key](value) for key, value in at.items()):
        return {"at": {"start_s": 0, **at}}
    named = isinstance(at, Mapping) and set(at) == {"times"} and isinstance(at["times"], str)
    if not (named or at in ("words", "trs")):
        raise UserError(f"{where}.at: {at!r} does not say when the rows are; write {_TIMES}")
    return {}


def _columns(where: str, modality: str, columns: Mapping[str, Any]) -> dict[str, float]:
    """A user's own numbers; YAML reads 3e11, without point and sign, as text."""
    found = {}
    for name, value in columns.items():
        if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise UserError(f"{where}.columns: {name} may hold a-z, 0-9 and underscore only; rename it")
        if name in MEASURED or (name in COUNTED and modality in ("language", "speech")):
            raise UserError(f"{where}.columns: {name} is a column of the workflow's own; use another name")
        try:
            found[name] = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            found[name] = math.nan
        if not math.isfinite(found[name]):
            raise UserError(f"{where}.columns.{name}: {value!r} must be a number; fix it")
    return found


def _entry(slug: str, models: Mapping[str, Any]) -> ModelEntry:
    where = f"config key models.{slug}"
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", slug):
        raise UserError(f"{where}: a model's name may hold a-z, 0-9, dot, dash, underscore; rename it")
    raw = _resolve(slug, models)
    modality = raw.get("modality")
    if modality not in _MODALITIES:
        raise UserError(f"{where}.modality: {modality!r} is not possible; {hint(str(modality), _MODALITIES)}")
    plain = {k: v for k, v in raw.items() if k != "architecture" and v is not None}
    for key, kind in _KINDS.items():
        if key in plain and not _is(plain[key], kind):
            raise UserError(f"{where}.{key}: is {plain[key]!r}; it must be {_KIND_NAMES[kind]}")
    if (dtype := plain.get("dtype", "float16")) not in DTYPE_BYTES:
        raise UserError(f"{where}.dtype: {dtype} is not possible; {hint(dtype, DTYPE_BYTES)}")
    plain.setdefault("family", modality)
    plain["columns"] = _columns(where, modality, plain.get("columns", {}))
    if modality in OWN:
        plain.update(_own_files(where, plain))
    elif "at" in plain:
        raise UserError(f"{where}.at: is of modality features only; remove it")
    elif modality in ("language", "speech"):
        plain.update(_architecture(where, raw))
        if plain.get("gguf_file") and not (plain.get("path") or plain.get("hub")):
            raise UserError(f"{where}.gguf_file: needs the path or hub it lies in; add one")
    elif modality == "nested":
        if not isinstance(plain.get("dims"), int) or plain["dims"] < 1:
            raise UserError(f"{where}.dims: a nested model needs it, a number above 0; add it")
        plain["width"] = plain["dims"]
        noise = plain.get("noise", [0.0])
        if not isinstance(noise, list) or not noise or not all(map(_is_deviation, noise)):
            raise UserError(f"{where}.noise: is {noise!r}; it must be a list with a number for each layer")
        plain["n_layers"] = len(noise) - 1
    elif (name := plain.setdefault("control", slug)) not in CONTROLS:
        raise UserError(f"{where}.control: no control {name}; {hint(name, CONTROLS)}")
    return ModelEntry(slug=slug, **plain)


def load_registry(models: Mapping[str, Any]) -> dict[str, ModelEntry]:
    """Check every model's entry.

    Args:
        models: slug -> entry.

    Raises:
        UserError: an entry has an unknown key, lacks one, or one of its values cannot be.
    """
    if not isinstance(models, Mapping):
        raise UserError("config key models: must map each model's name to its entry; fix it")
    return {slug: _entry(slug, models) for slug in models}
