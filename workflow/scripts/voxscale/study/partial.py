"""A study without the parts that its config's `partial` leaves out, and without what goes with them."""

from collections.abc import Mapping, Sequence
from typing import Any

from voxscale.errors import UserError
from voxscale.laws import DATA, FEWEST
from voxscale.study.fixed_width import arm_of

CHOSEN = (
    "Voxel sets `significant` are those of the models and subjects that are here, not of the whole study."
)


def without_subjects(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A complete config without the subjects that its `partial` leaves out.

    Raises:
        UserError: none remains.
    """
    out = config["partial"]["subjects"]
    dataset = config["dataset"]
    subjects = [subject for subject in dataset["subjects"] if subject not in out]
    average = dataset["average"]
    if average and len(subjects) < len(dataset["subjects"]):
        raise UserError("config key partial.subjects: a mean is of all subjects (dataset.average); name none")
    if not subjects or average in out:
        raise UserError("config key partial.subjects: no subject remains; there is nothing to report yet")
    sweeps = {
        name: {**sweep, "subjects": _kept(sweep["subjects"], out)} for name, sweep in config["sweeps"].items()
    }
    sweeps = {name: sweep for name, sweep in sweeps.items() if sweep["subjects"]}
    test = dataset["test_stories"]
    if isinstance(test, Mapping):  # of each subject
        test = {name: stories for name, stories in test.items() if name not in out}
    return {**config, "dataset": dataset | {"subjects": subjects, "test_stories": test}, "sweeps": sweeps}


def without_models(config: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[str]]:
    """A config without the models that its `partial` leaves out, and a sentence on all that is missing.

    With a model go the laws that have too few models left, and whatever it is a member of.

    Raises:
        UserError: no model remains.
    """
    partial = config["partial"]
    out = partial["models"]
    sweeps = {
        name: {**sweep, "models": _kept(sweep["models"], out)} for name, sweep in config["sweeps"].items()
    }
    sweeps = {name: sweep for name, sweep in sweeps.items() if sweep["models"]}
    if not sweeps:
        raise UserError("config key partial.models: no model remains; there is nothing to report yet")
    missing = [
        f"{kind} {name} is missing: {reason}"
        for kind in ("model", "subject", "figure")
        for name, reason in partial[f"{kind}s"].items()
    ]
    laws = {name: law for name, law in config["laws"].items() if _enough(law, sweeps.get(law["sweep"]))}
    few = f"fewer than {FEWEST} of its models are here"
    missing += [f"law {law} is missing: {few}" for law in config["laws"] if law not in laws]
    rest = {"sweeps": sweeps, "laws": laws}
    for key, fewest, what in (("joint", 2, "the joint law"), ("profiles", 1, "the layer profile")):
        if (name := config[key].get("sweep")) and len(sweeps.get(name, {"models": []})["models"]) < fewest:
            rest[key] = {}
            missing.append(f"{what} is missing: too few of its models are here")
    if reason := _without(config["stacking"]["members"], out, partial["stacking"]):
        rest["stacking"] = {"members": []}
        missing.append(f"the stack is missing: {reason}")
    banded = {
        name: _without(spec["bands"], out, partial["banded"].get(name))
        for name, spec in config["banded"].items()
    }
    missing += [f"banded model {name} is missing: {reason}" for name, reason in banded.items() if reason]
    rest["banded"] = {name: spec for name, spec in config["banded"].items() if not banded[name]}
    compared = {name: _without(spec.values(), out, None) for name, spec in config["comparisons"].items()}
    missing += [f"comparison {name} is missing: {reason}" for name, reason in compared.items() if reason]
    rest["comparisons"] = {name: spec for name, spec in config["comparisons"].items() if not compared[name]}
    rest["maps"] = {kind: model for kind, model in config["maps"].items() if model not in out}
    if not any(arm_of(law) in laws for law in laws):
        rest["plateau"] = {}
    return {**config, **rest}, [*missing, CHOSEN]


def _kept(names: str | Sequence[str], out: Mapping[str, str]) -> str | list[str]:
    return names if isinstance(names, str) else [name for name in names if name not in out]


def _without(members: Sequence[Mapping[str, Any]], out: Mapping[str, str], reason: str | None) -> str | None:
    """Why what several models make together is missing; None if it is not."""
    lost = [member["model"] for member in members if member["model"] in out]
    return f"model {lost[0]}, a part of it, is missing" if lost else reason if members else None


def _enough(law: Mapping[str, Any], sweep: Mapping[str, Any] | None) -> bool:
    """Whether a law's sweep has what a law needs; its training sizes are those that the config asks for."""
    return sweep is not None and (law["x"] in DATA or len(set(sweep["models"])) >= FEWEST)
