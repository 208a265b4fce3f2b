"""The config: closed, checked, with defaults and a preset filled in, before the first job is planned."""

import copy
import functools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend
from yaml.constructor import ConstructorError

from voxscale.errors import UserError, hint, near_names

SCHEMA = Path(__file__).with_name("schema.yaml")
PRESETS = Path(__file__).with_name("presets.yaml")


def _is_integer(_: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_: Any, value: Any) -> bool:
    return _is_integer(_, value) or (isinstance(value, float) and math.isfinite(value))


# As Python has them, where JSON Schema takes 4.0 for an integer, and YAML knows .nan and .inf.
Validator = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_integer, "number": _is_number}
    ),
)


def _fill_defaults(validator: Any, properties: Mapping[str, Any], value: Any, schema: Any) -> Iterator[Any]:
    """The keyword `properties` of a validator that fills in the defaults of missing keys."""
    if isinstance(value, dict):
        for key, part in properties.items():
            if "default" in part:
                value.setdefault(key, copy.deepcopy(part["default"]))
    yield from Validator.VALIDATORS["properties"](validator, properties, value, schema)


Filler = extend(Validator, {"properties": _fill_defaults})


class _Loader(yaml.CSafeLoader):
    """Refuses a key that a mapping has twice, where YAML's readers take the last and say nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise ConstructorError(None, None, f"duplicate key {key.value}", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: str | Path) -> Any:
    """Read a YAML file.

    Raises:
        UserError: the file is missing, cannot be read or is not YAML, or has a duplicate key.
    """
    try:
        with Path(path).open(encoding="utf-8") as file:
            return yaml.load(file, _Loader)
    except FileNotFoundError:
        beside = {other.stem: other for other in Path(path).parent.glob("*.y*ml")}
        near = [str(beside[name]) for name in near_names(Path(path).stem, beside)]
        advice = f"did you mean {near[0]}?" if near else "check the path"
        raise UserError(f"{path}: no such file; {advice}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); name a file that can") from None
    except yaml.MarkedYAMLError as error:
        raise UserError(f"{path}: {_where_broken(error)}; correct it") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as YAML ({error}); save it as UTF-8 text") from None


def _where_broken(error: yaml.MarkedYAMLError) -> str:
    """Line and mistake; and where the list or mapping begins that is not closed."""
    mark, began = error.problem_mark, error.context_mark
    said = f"line {mark.line + 1}: " if mark else ""
    said += f"not readable as YAML, {error.problem}"
    if began and mark and began.line != mark.line:
        said += f" ({error.context}, which begins in line {began.line + 1})"
    return f"{said}; YAML takes no tabs for indentation" if "cannot start any token" in said else said


def with_file(message: str, paths: Sequence[str | Path]) -> str:
    """A message about a config key with the file, the last of several, that says most of the key."""

    def said(path: str | Path) -> int:
        at, names = read_yaml(path), key[1].split(".")
        for i, name in enumerate(names):
            if not isinstance(at, Mapping) or name not in at:
                return i
            at = at[name]
        return len(names)

    if not paths or not (key := re.match(r"config key ([\w.-]+)", message)):
        return message
    return f"{max(reversed(paths), key=said)}: {message}"


read_library = functools.cache(read_yaml)  # the library's own files, which nobody may change in place


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings of `over` win over `base`, key by key; anything else replaces."""
    merged = dict(copy.deepcopy(base))
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else copy.deepcopy(value)
    return merged


def _spelled(path: Path) -> str:
    """One spelling of a path, however it was written: relative to the working directory if it lies there."""
    path = path.resolve() if ".." in path.parts else path
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def put_under(base: str | Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """A complete config with its relative paths, of the dataset and of local models, under a folder."""

    def moved(block: Any, *keys: str) -> Any:
        if not isinstance(block, Mapping):  # a mistake that the registry names
            return block
        paths = {key: block[key] for key in keys if isinstance(block.get(key), str)}
        return {**block, **{key: _spelled(Path(base, p)) for key, p in paths.items() if p != "published"}}

    models = {slug: moved(entry, "path") for slug, entry in config["models"].items()}
    dataset = moved(config["dataset"], "root", "voxels", "defects")
    return {**config, "models": models, "dataset": dataset}


def _in_order(value: Any) -> Any:
    """Sort the keys of mappings: the order of a config's lines must change no parameter of a job."""
    return (
        {key: _in_order(value[key]) for key in sorted(value, key=str)} if isinstance(value, dict) else value
    )


def _explain(error: ValidationError) -> str:
    if error.validator == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        unknown = sorted(str(key) for key in error.instance if key not in known)
        return f"unknown key {', '.join(unknown)}; {hint(unknown[0], known, most=len(known))}"
    if error.validator == "enum" and "propertyNames" in error.schema_path:
        return f"unknown key {error.instance}; {hint(str(error.instance), error.validator_value)}"
    if error.validator == "required":
        return f"{error.message}; add it (see config/README.md)"
    value, rule = error.instance, error.validator_value
    near = near_names(value, _words(error.validator, rule)) if isinstance(value, str) else []
    advice = f"did you mean {near[0]}?" if near else "config/README.md says what it takes"
    if error.validator == "enum":
        return f"{value!r} is not one of {', '.join(map(str, rule))}; {advice}"
    if error.validator == "pattern" and (words := _words("pattern", rule)):
        return f"{value!r} does not fit; {hint(value, words)}"
    if error.validator in ("oneOf", "anyOf", "pattern"):
        return f"{value!r} does not fit; {advice}"
    return f"{error.message}; see config/README.md"


def _words(validator: str, rule: Any) -> list[str]:
    """The words that a rule of the schema takes."""
    if validator == "pattern":
        return re.findall(r"[a-z]{2,}", rule)
    parts = [{"enum": rule}] if validator == "enum" else rule if validator in ("oneOf", "anyOf") else []
    found = (word for part in parts for word in part.get("enum", [part.get("const")]))
    return [word for word in found if isinstance(word, str)]


def require_schema(config: Any, place: str = "", keys: Sequence[str] = ()) -> None:
    """Check a config against the closed schema.

    Args:
        place: what to put before the name of the key: the file, where it is not the study's config.
        keys: the only top-level keys that there may be; empty for all, of which some are required.

    Raises:
        UserError: a key is unknown, missing or of the wrong kind; the line names it.
    """
    rules = read_library(SCHEMA)
    if keys:
        properties = {key: rules["properties"][key] for key in keys}
        rules = {**rules, "required": [], "properties": properties}
    if (error := best_match(Validator(rules).iter_errors(config))) is not None:
        where = ".".join(str(part) for part in error.absolute_path) or "top level"
        raise UserError(f"{place}config key {where}: {_explain(error)}")


def complete(config: Mapping[str, Any]) -> dict[str, Any]:
    """Check a study's config against the closed schema and fill in the preset and the defaults.

    Args:
        config: as read from `config/<study>.yaml`.

    Raises:
        UserError: a key is unknown, missing or of the wrong kind; the line names it.
    """
    require_schema(config)
    preset = config.get("encoding", {}).get("preset", "strict")
    full = merge(read_library(PRESETS)[preset], config)
    for _ in Filler(read_library(SCHEMA)).iter_errors(full):
        pass  # it has none: it is checked above
    if full["features"]["text"]["restart_at"] >= full["features"]["text"]["max_context"]:
        raise UserError("config key features.text.restart_at: must be below max_context; lower it")
    ordered = {name: list(full[name]) for name in ("sweeps", "laws")}  # here the order is that of the report
    full = _in_order(full)
    full["dataset"]["subjects"].sort()
    return full | {name: {key: full[name][key] for key in keys} for name, keys in ordered.items()}
