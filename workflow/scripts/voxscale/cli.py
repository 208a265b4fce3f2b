"""The command line: `voxscale plan | status | report | check | prune | usage | models | regions | export`."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from voxscale.cluster import holders, is_running, read_lost_nodes, read_queue
from voxscale.dataset import write_regions
from voxscale.errors import UserError
from voxscale.jobs import (
    DEMO,
    LEFT_OUT,
    PARTIAL,
    Placement,
    check_files,
    chosen_exports,
    describe_models,
    describe_outlook,
    describe_plan,
    describe_states,
    describe_usage,
    executor_of,
    export_means,
    job_states,
    load_jobs,
    plan_rows,
    prune_files,
    started_outputs,
    unused_features,
    unused_fits,
    usages,
    write_left_out,
    write_readme,
)
from voxscale.models import require_models
from voxscale.progress import notify
from voxscale.scores import write_images

app = typer.Typer(
    help="Cost, progress and leftovers of a study. The study itself is run by snakemake.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Configs = Annotated[
    list[Path] | None,
    typer.Option("--configfile", help="The study's config; of several the last wins. Default: the demo's."),
]
Studies = Annotated[
    list[Path] | None,
    typer.Option("--configfile", help="Configs of all studies with these results. Default: the demo's."),
]
Profile = Annotated[
    Path | None, typer.Option(help="Snakemake's profile of the run, if not on this machine: profiles/slurm.")
]
Directory = Annotated[Path, typer.Option(help="The folder with results/.")]
HERE = Path()
SNAKEFILE = Path(__file__).parents[3] / "Snakefile"


@app.command("plan")
def _plan(
    configfile: Configs = None,
    directory: Directory = HERE,
    profile: Profile = None,
    cores: Annotated[int, typer.Option(min=1, help="Cores that fits may have at once.")] = 100,
    gpus: Annotated[int, typer.Option(min=1, help="GPUs that fits may have at once.")] = 8,
) -> None:
    """Jobs, hours, memory and disk space that a study takes, and what is already done."""
    on_slurm = profile is not None and executor_of(profile) == "slurm"
    jobs = load_jobs(configfile, directory, profile)
    own = [model for model in jobs.study.config["models"] if model in jobs.study.grid.used_models]
    require_models((jobs.study.registry[model] for model in own), ask=False)
    placed = Placement(jobs, on_slurm)
    print(describe_plan(plan_rows(jobs, placed), jobs.study, cores, gpus))
    for note in [*placed.notes(jobs.all()), *jobs.study.examine()]:
        print(f"WARNING {note}")


@app.command("status")
def _status(
    configfile: Configs = None,
    directory: Directory = HERE,
    cells: Annotated[bool, typer.Option("--cells", help="Each fit on its own line.")] = False,
) -> None:
    """Which jobs are done, running, waiting, outdated, failed or missing."""
    jobs = load_jobs(configfile, directory)
    queue = read_queue(".")
    states = job_states(jobs, queue, started_outputs(), is_running())
    print(describe_states(states, cells))
    began = [holder.about["began"] for holder in holders() if holder.state == "alive" and holder.about]
    if outlook := describe_outlook(jobs, states, queue, min(began, default=None), read_lost_nodes):
        print(f"\n{outlook}")


@app.command("report", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def _report(
    context: typer.Context,
    configfile: Configs = None,
    directory: Directory = HERE,
    partial: Annotated[bool, typer.Option("--partial", help="Of the finished parts of the study.")] = False,
) -> None:
    """Gather the finished models and subjects into results/partial; further options are snakemake's."""
    if not partial:
        raise UserError(
            "the whole report is made by snakemake; --partial makes one of the parts that are there"
        )
    if not SNAKEFILE.exists():
        raise UserError(
            "--partial: the workflow's Snakefile is not here; use voxscale of the workflow's folder"
        )
    configs = [path.resolve() for path in configfile or [DEMO]]
    jobs = load_jobs(configs, directory)
    write_left_out(jobs, job_states(jobs, read_queue("."), started_outputs(), is_running()))
    study = load_jobs([*configs, LEFT_OUT]).study
    write_readme(study)
    for line in study.missing:
        notify(f"NOTE: {line}")
    # Without a lock: the folder is its own, and a run may go on meanwhile.
    command = ["-m", "snakemake", "--snakefile", str(SNAKEFILE), "--nolock", "--forceall"]
    # An executor that ends removes empty folders of logs, of which a run that goes on has some.
    command += ["--slurm-logdir", f"{PARTIAL}/logs/slurm"]
    command += [*context.args, "--configfile", *map(str, configs), str(LEFT_OUT)]
    os.execv(sys.executable, [sys.executable, *command])


@app.command("check")
def _check(configfile: Configs = None, directory: Directory = HERE) -> None:
    """Read every result: is it whole, in its own place, and made with the config's settings?"""
    found = check_files(load_jobs(configfile, directory))
    print(found.describe())
    raise typer.Exit(bool(found.problems))


@app.command("prune")
def _prune(
    configfile: Studies = None,
    directory: Directory = HERE,
    delete: Annotated[bool, typer.Option("--delete", help="Delete, do not only print.")] = False,
) -> None:
    """Stored features and fits that no study named here uses."""
    configs, directory = [path.resolve() for path in configfile or ()], directory.resolve()
    studies = [load_jobs(config, directory).study for config in configs or [None]]
    print(prune_files([*unused_features(studies), *unused_fits(studies)], delete))


@app.command("usage")
def _usage(configfile: Configs = None, directory: Directory = HERE) -> None:
    """Predicted and measured memory and time of each rule."""
    print(describe_usage(usages(load_jobs(configfile, directory))))


@app.command("models")
def _models(configfile: Configs = None, directory: Directory = HERE) -> None:
    """The study's models: size, layers, and where each comes from."""
    print(describe_models(load_jobs(configfile, directory)))


@app.command("regions")
def _regions(
    atlas: Annotated[list[Path], typer.Argument(help="Label image, dlabel file, or one label file a side.")],
    output: Annotated[Path, typer.Option(help="The voxel table to write, for dataset.voxels.")],
    names: Annotated[Path | None, typer.Option(help="Names of a label image's labels.")] = None,
    mask: Annotated[
        Path | None, typer.Option(help="Mask of a label image's voxels, or a pattern of masks.")
    ] = None,
    voxels: Annotated[Path | None, typer.Option(help="Voxel table whose other columns are kept.")] = None,
) -> None:
    """Give each voxel of a subject its region of an atlas that you have."""
    counts = write_regions(atlas, output, names, mask, voxels)
    for region, n in counts.items():
        print(f"{n:8,}  {region}")


@app.command("export")
def _export(
    what: Annotated[str, typer.Argument(help="scores, differences, ceilings, layers or regions.")],
    configfile: Configs = None,
    directory: Directory = HERE,
    subject: Annotated[str | None, typer.Option(help="One subject; default: all.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Of scores and layers; default: the maps' models.")
    ] = None,
    layer: Annotated[int | None, typer.Option(help="Of scores.")] = None,
    n_train: Annotated[int | None, typer.Option(help="Training stories of scores; default: all.")] = None,
    comparison: Annotated[str | None, typer.Option(help="Of differences; default: all.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the images.")] = Path("export"),
) -> None:
    """Write finished results as NIfTI, GIFTI or CIFTI files in the data's own space."""
    out = out.absolute()  # before the study's folder becomes the working directory
    study = load_jobs(configfile, directory).study
    exports = chosen_exports(study, what, subject, model, layer, n_train, comparison)
    for export in exports:
        export.require()
    for export in exports:
        settings = export.settings(study) | export_means(study)
        for path in write_images(settings, export.scores, export.tables, out):
            print(path)


def _spread(arguments: Sequence[str]) -> Iterator[str]:
    """Arguments in which one `--configfile` may be followed by several files, as Snakemake has it."""
    taking = False
    for argument in arguments:
        if argument.startswith("-"):
            taking = argument == "--configfile"
            first = taking
        elif taking and not first:
            yield "--configfile"
        else:
            first = False
        yield argument


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: with status 0, or 1 after one line about a user's mistake."""
    arguments = list(_spread(sys.argv[1:] if arguments is None else arguments))
    try:
        app(arguments, prog_name="voxscale")
    except UserError as error:
        message = str(error)
    except (NotADirectoryError, PermissionError) as error:  # a folder that the user has changed
        message = f"{error.filename}: {error.strerror}; it must be a folder that you can read"
    print(f"ERROR {arguments[0]}: {message}", file=sys.stderr)
    sys.exit(1)
