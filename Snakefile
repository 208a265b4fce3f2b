"""Scaling laws of brain encoding models: from stories and scans to laws, figures and a report."""

from snakemake.utils import min_version

min_version("9.27")

IS_MODULE = not workflow.modifier.is_main_snakefile()

# The demo is for those who name no config: a study's replaces it as a whole, the two are never mixed.
if not config if IS_MODULE else "dataset" not in config and not workflow.configfiles:

    configfile: f"{workflow.current_basedir}/config/demo.yaml"


include: "rules/common.smk"
include: "rules/requests.smk"
include: "rules/start.smk"


# A partial study gathers the fits that are there: without rules that could make or remake any.
if not study.missing:

    include: "rules/fetch.smk"
    include: "rules/dataset.smk"
    include: "rules/lags.smk"
    include: "rules/features.smk"
    include: "rules/encoding.smk"
    include: "rules/banded.smk"
    include: "rules/ceiling.smk"
    include: "rules/stacking.smk"
    include: "rules/validation.smk"
    include: "rules/resources.smk"
    include: "rules/export.smk"


include: "rules/scores.smk"
include: "rules/scaling.smk"
include: "rules/figures.smk"
include: "rules/report.smk"


rule all:
    """The whole study: scores, tables, figures and report; what is missing of them is made again."""
    default_target: True
    input:
        lambda wildcards: list(jobs.results()),


rule models:
    """Every published model of the study: on a login node, before jobs that have no network."""
    input:
        expand(PATHS["card"], model=study.published_models),


rule lags:
    """Are words and responses of each story aligned? Needs no model: to be looked at before the fits."""
    input:
        all_of("scan_lags", "lags"),
        PATHS["figure"].format(figure="lag_scan"),


rule features:
    """Features of every model of the study."""
    input:
        [PATHS["features"].format(model=model) for model in study.grid.used_models],


rule scores:
    """Every fit of the study, gathered."""
    input:
        **tables_of("all", "scores", "summary", "voxels"),


rule figures:
    """Every figure of the study."""
    input:
        all_of("draw_figure", "figure"),


onstart:
    mark_reports(workflow.dag)
    before_jobs(workflow, cluster_key, takes_over=not study.missing)
    if not study.missing and not IS_MODULE:
        keep_batches(study)
    data_at_hand()
    devices_at_hand(workflow.dag)
    cluster_at_hand(workflow.dag)
    image_at_hand()
    flatmaps_at_hand(workflow.dag)
    places_at_hand(workflow.dag)
    models_at_hand(workflow.dag)
    if not IS_MODULE:
        quiet_terminal(jobs, workflow)


onsuccess:
    clear_slurm_logs(jobs, BASE)
    say_farewell()


onerror:
    print_failures(jobs, BEGAN, BASE)
    clear_slurm_logs(jobs, BASE)
