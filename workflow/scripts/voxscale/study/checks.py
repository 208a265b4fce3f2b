"""Checks of a study before the first job; each mistake is reported in one line."""

from collections.abc import Sequence
from typing import Any

from voxscale.dataset import ONE_SPACE
from voxscale.errors import UserError, hint, naming
from voxscale.laws import DATA, FEWEST, SIZES
from voxscale.models import COUNTED
from voxscale.statistics import blocks_of, require_blocks, skipped_trs
from voxscale.study.contexts import check_contexts
from voxscale.study.settings import bootstrap_settings, law_drawn
from voxscale.study.study import Study

RESERVED = ("all", "maps")  # selections of cells that every study has


def check(study: Study) -> None:
    """Walk everything that the rules will ask a study for.

    Raises:
        UserError: something is impossible; the message names the key.
    """
    _check_average(study)
    study.voxel_tables()
    if study.any_hears:
        study.dataset.check_sounds()
    for sweep in study.config["sweeps"]:
        if sweep in RESERVED:
            raise UserError(f"config key sweeps.{sweep}: this name is the workflow's own; choose another")
    alphas = study.config["encoding"]["alphas"]
    if alphas["log10_min"] >= alphas["log10_max"]:
        raise UserError("config key encoding.alphas.log10_min: must be below log10_max; lower it")
    _ = study.selections
    for law in study.config["laws"]:
        _check_law(study, law)
    _check_lengths(study)
    check_contexts(study)
    _check_regions(study)
    _check_joint(study)
    _check_profiles(study)
    _check_folds(study)
    _check_ceiling(study)
    for subject in study.subjects:
        study.stacking_cells(subject)
        _check_test(study, subject)


def _check_regions(study: Study) -> None:
    """Each region of which a law is wanted must be that of some voxel."""
    laws, joint = study.config["laws"], study.config["joint"].get("voxels", [])
    named = {f"laws.{law}.{key}": laws[law].get(key, []) for law in laws for key in ("voxels", "drawn")}
    for key, sets in (named | {"joint.voxels": joint}).items():
        for region in (name.removeprefix("roi:") for name in sets if name.startswith("roi:")):
            if (known := study.dataset.regions) is not None and region not in known:
                near = hint(region, sorted(known))
                raise UserError(f"config key {key}: no voxel is in region {region}; {near}")


def _check_law(study: Study, law: str) -> None:
    cells, x = study.law_cells(law), study.config["laws"][law]["x"]
    law_drawn(study, law)
    where = f"config key laws.{law}"
    found: set[Any]
    if x in DATA:
        found = {cell.n_train for cell in cells}
        what = "training sizes"
    else:
        found = {cell.model for cell in cells}
        what = "models"
        given = _require_x(study, sorted(found), x, f"{where}.x")
        if len(given) == len(found):
            found, what = set(given.values()), f"different {x}"
    if len(found) < FEWEST:
        sweep = study.config["laws"][law]["sweep"]
        raise UserError(f"{where}: sweep {sweep} has {len(found)} {what}, a law needs {FEWEST}; add some")


def _require_x(study: Study, models: Sequence[str], x: str, where: str) -> dict[str, float]:
    """The x that the user gives for models of a law; each model must have one, given or measured.

    Raises:
        UserError: some have none, or one at or below 0.
    """
    entries = [study.registry[model] for model in models]
    given = {entry.slug: entry.columns[x] for entry in entries if x in entry.columns}
    has = {
        "width": lambda entry: entry.width is not None,
        **dict.fromkeys(COUNTED, lambda entry: entry.has_network or entry.source),
    }
    lacking = [e.slug for e in entries if e.slug not in given and not (x in has and has[x](e))]
    known = dict.fromkeys([*SIZES, *DATA, *(name for e in study.registry.values() for name in e.columns)])
    if lacking and x not in known:
        how = f"give it under models.<name>.columns, or name another x ({hint(x, known)})"
        raise UserError(f"{where}: no model has {x}; {how}")
    if lacking:
        raise UserError(
            f"{where}: no {x} of {', '.join(lacking)}; leave them out of the sweep, or give it under "
            f"models.{lacking[0]}.columns"
        )
    for model, value in given.items():
        if value <= 0:
            key = f"config key models.{model}.columns.{x}"
            raise UserError(f"{key}: is {value:g}; a law needs values above 0")
    return given


def _check_joint(study: Study) -> None:
    if not (cells := study.joint_cells):
        return
    if min(len({cell.model for cell in cells}), len({cell.n_train for cell in cells})) < 2:
        sweep = study.config["joint"]["sweep"]
        raise UserError(f"config key joint.sweep: {sweep} needs two models and two training sizes; add them")

    for cell in cells:
        entry = study.registry[cell.model]
        if not (entry.has_network or entry.source):
            raise UserError(f"config key joint.sweep: {cell.model} has no parameters; leave it out there")


def _check_profiles(study: Study) -> None:
    if (cells := study.profile_cells) and len({cell.layer for cell in cells}) < 2:
        sweep = study.profile_sweep
        raise UserError(f"config key profiles.sweep: {sweep} has one layer; ask for `all` in it")


def _check_lengths(study: Study) -> None:
    """Delays must be shorter than each story; what is cut off around one, than all of them together."""
    lengths = {story: trs for story in study.stories if (trs := study.dataset.n_trs(story)) is not None}
    if not lengths:
        return
    longest, shortest = max(study.config["encoding"]["delays"]), min(lengths, key=lengths.__getitem__)
    if longest >= lengths[shortest]:
        what = f"{longest} TRs, but story {shortest} has {lengths[shortest]}"
        raise UserError(f"config key encoding.delays: {what}; lower it, or leave the story out")
    cut, whole = max(study.config["dataset"]["trim"]), sum(lengths.values())
    if cut > whole:
        raise UserError(f"config key dataset.trim: {cut} TRs, all stories together have {whole}; lower it")


def _check_folds(study: Study) -> None:
    """Stacks and banded models are fitted to one set of training stories."""
    if not study.crossed:
        return
    parts = {"stacking.members": study.config["stacking"]["members"], "banded": study.config["banded"]}
    for key, wanted in parts.items():
        if wanted:
            raise UserError(
                f"config key {key}: needs fixed test stories, but dataset.test_stories has folds; leave "
                f"{key.split('.')[0]} out, or list the test stories"
            )


def _check_average(study: Study) -> None:
    """A mean of subjects: all with voxels at the same places, and none of them in a sweep."""
    if not (average := study.config["dataset"]["average"]):
        return
    members = study.dataset.members(average)
    require_one_space(study, members, "config key dataset.average")
    for name, sweep in study.config["sweeps"].items():
        if sweep["subjects"] != "all" and (named := [one for one in members if one in sweep["subjects"]]):
            raise UserError(
                f"config key sweeps.{name}.subjects: {named[0]} is fitted as part of {average} only "
                f"(dataset.average); write {average}"
            )


def _check_ceiling(study: Study) -> None:
    """A ceiling across subjects: enough of them, who heard the same, with voxels at the same places."""
    if study.ceiling_kind != "subjects":
        return
    from voxscale.scores import FEWEST_SUBJECTS  # scipy slows each start of the workflow

    key = "config key ceiling.kind: subjects"
    if len(study.subjects) < FEWEST_SUBJECTS:
        raise UserError(f"{key} needs {FEWEST_SUBJECTS} subjects, the study has {len(study.subjects)}")
    if not study.shared_test_stories:
        raise UserError(f"{key} needs a test story that all subjects heard; add one, or take another kind")
    require_one_space(study, study.subjects, key)


def require_one_space(study: Study, subjects: Sequence[str], key: str) -> None:
    """Voxels of subjects must be at the same places, as far as these are known.

    Raises:
        UserError: they are not.
    """
    if study.dataset.kind in ("phantom", "ds003020"):
        raise UserError(f"{key}: each subject has voxels of its own; {ONE_SPACE}")
    first, *others = ((subject, study.dataset.geometry(subject)) for subject in subjects)
    for subject, geometry in others:
        known = geometry is not None and first[1] is not None
        if known and not geometry.same_as(first[1]):
            what = f"{key}: voxels of {subject} are not those of {first[0]}"
            if not geometry.same_grid(first[1]):
                raise UserError(f"{what}; {ONE_SPACE}")
            raise UserError(
                f"{what}: they have one grid, but each a mask of its own; if both are in one space, as MNI, "
                f"set config key dataset.{study.dataset.kind}.mask to one mask for all"
            )


def _check_test(study: Study, subject: str) -> None:
    """Each test story of known length must be longer than `skip_s`, and all together at least two blocks."""
    skip_s, tr_s = study.config["scoring"]["skip_s"], study.config["dataset"]["tr_s"]
    lengths = {story: study.dataset.n_trs(story) for story in study.dataset.test(subject)}
    for story, trs in lengths.items():
        if trs is not None and trs * tr_s <= skip_s:
            length = f"{story} is only {trs * tr_s:g} s long"
            raise UserError(f"config key scoring.skip_s: {skip_s:g} s, but {length}; lower it")
    if lengths and None not in lengths.values():
        skip = skipped_trs(bootstrap_settings(study))
        with naming(f"config key scoring.block_trs: {subject}"):
            require_blocks(blocks_of(lengths, study.config["scoring"]["block_trs"], skip), skip)
