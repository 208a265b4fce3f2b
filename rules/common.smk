# Paths, wildcard constraints, the grid and what rules are made of. No rules.

import math
import os
import sys
import time
from functools import cache
from pathlib import Path
from types import SimpleNamespace

HOME = Path(str(workflow.current_basedir)).parent
SCRIPTS = str(HOME / "workflow" / "scripts")
sys.path.insert(0, SCRIPTS)

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

import voxscale

from voxscale.cortex import NOT_INSTALLED, pycortex_installed
from voxscale.cluster import before_graph, before_jobs, compare_behind_ancient, gpus_in
from voxscale.cluster import pass_over_damaged_records, pass_over_times, record_in_jobs
from voxscale.cluster import retry_with_reason, submits_to_slurm
from voxscale.dataset import NAME_PATTERN, PROSE
from voxscale.encoding import CELL_FILES
from voxscale.errors import UserError
from voxscale.io import is_marked, mark_page
from voxscale.jobs import PARTIAL, PATHS, RULES, FittedCells, Job, Jobs, Placement
from voxscale.jobs import EXPORT_NAMES, export_named
from voxscale.jobs import Request, batches_with, figures_of, gather_apart, record_of
from voxscale.jobs import follow_batches, keep_batches
from voxscale.jobs import clear_slurm_logs
from voxscale.jobs import farewell, require_schemas, print_failures, quiet_terminal
from voxscale.jobs import changed_sources, outdated_unnoted, require_folders
from voxscale.jobs import latents, phantom_scans, phantom_stimuli
from voxscale.models import require_models
from voxscale.script import put_first
from voxscale.versions import numbers
from voxscale.study import (
    NO_IMAGE,
    load_study,
    read_yaml,
    require_contexts,
    require_devices,
    require_image,
    show_to_containers,
    with_file,
    without_site,
)

put_first(SCRIPTS)
if not Path(voxscale.__file__).resolve().is_relative_to(HOME.resolve()):
    raise WorkflowError(
        f"{HOME}: another voxscale is in use, that of {voxscale.__file__}; a workflow can have one only"
    )
if workflow.modifier.path_modifier.modifies_prefixes:
    raise WorkflowError("module voxscale: replace_prefix is not supported; use prefix")

BEGAN = time.time()

# The prefix of a module. Snakemake puts it before each relative path of a rule that is not marked as local.
BASE = Path(workflow.modifier.path_modifier.replace_prefix("results")).parent
try:
    # The config files and killed runs of a workflow that uses this one as a module are its own business.
    if not IS_MODULE:
        # Snakemake's own reader lets a key be there twice. JSON may hold what YAML does not.
        for path in workflow.configfiles:
            if Path(path).suffix != ".json":
                read_yaml(path)
        # What a killed run left behind is the run's own business; a job writes down what it did.
        if workflow.is_main_process and "partial" not in config:
            before_graph()
        elif not workflow.is_main_process:
            record_in_jobs()
            follow_batches()
    if workflow.is_main_process:
        require_schemas()
    study = load_study(config, BASE)
    if study.missing:
        gather_apart()
    jobs, outdated, gone, earlier, changed = Jobs(study), [], [], 0, {}
    # The files of a workflow that uses this one as a module lie elsewhere.
    if workflow.is_main_process and not IS_MODULE and not study.missing:
        require_folders(jobs)
        outdated = outdated_unnoted(jobs)
    if workflow.is_main_process and not study.missing:
        changed = changed_sources(jobs, BASE)
        fits = FittedCells(study, BASE)
        gone, earlier = fits.incomplete(), fits.of_earlier_layout()
except UserError as error:
    # One line: a WorkflowError would add places in this file, where the mistake is not.
    files = [] if IS_MODULE else [str(path) for path in workflow.configfiles]
    sys.exit(f"ERROR {with_file(str(error), files)}")

if workflow.is_main_process:
    retry_with_reason()
    pass_over_damaged_records()
    # A report may have been marked and then not made again, say since the config was changed back.
    marked = [path for path in [BASE / PATHS["report"]] if is_marked(path)]
    compare_behind_ancient(outdated, changed, incomplete=[*gone, *marked])
    pass_over_times(
        {path for job in jobs.all() for path in jobs.sources(job)},
        [name for name, record in RULES.items() if record.sources],
    )
if gone:
    print(
        f"NOTE: files of fitted cells are gone that {len(gone)} indexes name, such as {gone[0]}: these cells are "
        "fitted again where this run needs them",
        file=sys.stderr,
    )
if earlier:
    print(
        f"NOTE: results/scores has {earlier} fits in the layout of an earlier version, which are not read: these "
        "cells are fitted again. voxscale prune lists the old files, and deletes them with --delete",
        file=sys.stderr,
    )
if outdated:
    print(
        f"WARNING {len(outdated)} files of which Snakemake has no record were made with other settings than "
        f"the config's, such as {outdated[0]}: those that this run needs are made again",
        file=sys.stderr,
    )
if changed:
    files = dict.fromkeys(path for paths in changed.values() for path in paths)
    print(
        f"NOTE: {len(files)} input files have changed since results were made from them, such as "
        f"{next(iter(files))}: what follows from them is made again",
        file=sys.stderr,
    )
FIGURES = figures_of(study)
# What was said of the data before the first job, for the report.
EXAMINED = BASE / record_of("write_report").folder / "logs/examined.log"
# ASSUME: in Snakemake 9.27 the value of `--sdm apptainer`, also as `--use-singularity`.
IN_CONTAINER = (
    DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method
)
if study.container:
    if IN_CONTAINER:
        show_to_containers(study, HOME)

    container: study.container


wildcard_constraints:
    layer=r"\d+",
    n_train=r"\d+",
    layers=r"\d+(-\d+)?",
    n_trains=r"\d+(-\d+)?",
    model=r"(?!banded-)[a-z0-9][a-z0-9._-]*",
    banded="|".join(study.config["banded"]) or "none",
    subject=NAME_PATTERN,
    story=NAME_PATTERN,
    law="|".join(study.config["laws"]) or "none",
    selection="|".join(study.selections),
    comparison="|".join(study.config["comparisons"]) or "none",
    figure="|".join(FIGURES),


def responses():
    """Responses with the digest of their sources: making a damaged file again reruns no finished fit."""
    return {
        "responses": ancient(PATHS["responses"]),
        "responses_digest": PATHS["responses_digest"],
    }


def fitted():
    """What a fit, and what follows from its alphas, depends on besides settings and versions of features."""
    return {
        **responses(),
        # The index changes whenever any story is added. What a fit depends on is in the other
        # inputs and the parameters: model, stories, settings and versions of the extraction.
        "features": ancient(PATHS["features"]),
        "card": PATHS["card"],
        "subject": PATHS["subject_table"],
        "sounds": lambda wildcards: (
            PATHS["sounds"] if study.hears(wildcards.model) else []
        ),
    }


def made(rule):
    """Outputs of a rule, by name."""
    record = record_of(rule)
    return {
        name: temp(path) if record.deleted_after else path
        for name, path in record.outputs.items()
    }


def all_of(rule, output):
    """Paths of one output of every job of a rule; none where the study has no such job."""
    path = record_of(rule).outputs[output]
    return [path.format(**wildcards) for wildcards in record_of(rule).jobs(study)]


def exists(rule):
    """Whether the study has any job of a rule."""
    return record_of(rule).exists(study)


def log_of(rule):
    """Where a rule's script writes its log."""
    return record_of(rule).log


def benchmark_of(rule):
    """Where Snakemake writes what a rule's job took."""
    return record_of(rule).benchmark


def parameters(rule):
    """Parameters of a rule's jobs that follow from the study and the code, which `make status` compares."""
    record = record_of(rule)

    def of(parameter):
        return lambda wildcards: parameter(study, dict(wildcards.items()))

    found = {name: of(parameter) for name, parameter in record.params.items()}
    if record.numbers:
        found["numbers"] = numbers(*record.numbers)
    if record.means:
        # ASSUME: Snakemake 9.27 compares no parameter of a type that it does not know.
        found["means"] = lambda wildcards: SimpleNamespace(
            **record.means(study, dict(wildcards.items()))
        )
    if record.sources:
        found["source_files"] = lambda wildcards: SimpleNamespace(
            paths=record.sources(study, dict(wildcards.items()))
        )
    if study.missing:
        found["missing"] = study.missing
    # Snakemake compares values without their names.
    return found | {"digest": lambda wildcards: jobs.digest(Job(rule, dict(wildcards)))}


def folder_of(path):
    """The folder of a file of a job, also where a prefix moves all paths."""
    return str(Path(path).parent)


def models_of(*modalities):
    """A wildcard pattern that matches the study's models of these modalities."""
    return "|".join(study.models_of(*modalities)) or "none"


def cell_paths(name, cells):
    """Paths of one kind for a list of cells."""
    return [PATHS[name].format(**cell._asdict()) for cell in cells]


def fits_of(cells):
    """Indexes of the batches in which cells are fitted; a banded model's scores are files of their own."""
    batches = batches_with(study, (cell for cell in cells if cell in study.grid.draws))
    return [PATHS["fits"].format(**batch) for batch in batches]


def banded_paths(cells):
    """Scores of the banded models among some cells."""
    paths = (CELL_FILES["scores"].format(**cell._asdict()) for cell in cells)
    return [
        path
        for cell, path in zip(cells, paths, strict=True)
        if cell in study.banded_cells
    ]


def fit_of(wildcards):
    """Index of the batch in which the cell of a job is fitted. What its numbers depend on is in the parameters
    and in other inputs: a cell that is added to the batch changes nothing."""
    return ancient(fits_of([study.cell(**wildcards)]))


def other_study(comparison):
    """Moments of the second fit of a comparison in each subject, if it is another study's."""
    folder = study.config["comparisons"][comparison]["b"]["results"]
    if not folder:
        return []
    pattern = str(Path(folder, *Path(CELL_FILES["moments"]).parts[1:]))
    cells = [second for _, second in study.comparison(comparison).values()]
    paths = [pattern.format(**cell._asdict()) for cell in cells]
    if missing := [path for path in paths if not Path(path).exists()]:
        where = f"config key comparisons.{comparison}.b.results"
        sys.exit(f"ERROR {where}: no fit {missing[0]}; run that study first")
    return local(paths)


def selected(name, key, selection):
    """Paths of one kind for every model or subject of a selection of cells."""
    values = dict.fromkeys(getattr(cell, key) for cell in study.selections[selection])
    return [PATHS[name].format(**{key: value}) for value in values]


def voxel_table(subject):
    """A subject's table of voxels, if there is one."""
    return local(study.voxel_tables().get(subject, []))


def selected_places(selection):
    """Voxel tables of a selection's subjects."""
    subjects = dict.fromkeys(cell.subject for cell in study.selections[selection])
    tables = (voxel_table(subject) for subject in subjects)
    return [table for table in tables if table]


def tables_of(selection, *names):
    """Gathered tables of one selection, by name."""
    return {name: PATHS[name].format(selection=selection) for name in names}


def source_of(model, name):
    """Path of one kind for the model that another's features are reduced from; nothing for other models."""
    source = study.registry[model].source
    return PATHS[name].format(model=source) if source else []


def band_paths(name, banded):
    """Paths of one kind for each band of a banded model."""
    return [PATHS[name].format(**band) for band in study.bands(banded)]


def member_paths(wildcards):
    """Predictions of the members of one subject's stack."""
    return cell_paths("cell_predictions", study.stacking_cells(wildcards.subject))


def law_selection(wildcards):
    """The sweep a law is fitted to."""
    return study.config["laws"][wildcards.law]["sweep"]


def figure_tables(wildcards):
    """Files of each table that a figure is drawn from, by the name of its kind."""
    inputs = FIGURES[wildcards.figure].inputs(study)
    return {
        name: [PATHS[name].format(**file) for file in files]
        for name, files in inputs.items()
    }


def exported(wildcards):
    """What a target of the export names."""
    try:
        return export_named(study, **wildcards)
    except UserError as error:
        stop(error)


def export_table(name):
    """Table of a kind that an export follows from, if it does."""
    return lambda wildcards: exported(wildcards).tables.get(name, [])


def others(name, subject):
    """Paths of one kind of the other subjects, if noise ceilings are across subjects."""
    if study.ceiling_kind != "subjects":
        return []
    return [
        PATHS[name].format(subject=each) for each in study.subjects if each != subject
    ]
