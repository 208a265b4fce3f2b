# Needs: tables of scores, laws, layers, ceilings and stacks.
# Makes: every figure as PNG and PDF, with the numbers it shows as CSV; its records are in voxscale/jobs/figures.yaml.


rule draw_figure:
    """One figure of the study, drawn from its tables."""
    input:
        unpack(figure_tables),
    output:
        png=report(
            PATHS["figure"],
            caption="../workflow/report/figure.rst",
            category=lambda wildcards: FIGURES[wildcards.figure].category,
        ),
        pdf=PATHS["figure_pdf"],
        csv=PATHS["figure_csv"],
    log:
        log_of("draw_figure"),
    benchmark:
        benchmark_of("draw_figure")
    conda:
        "../envs/voxscale.yaml"
    resources:
        **needs("draw_figure"),
    params:
        **parameters("draw_figure"),
    script:
        "../workflow/scripts/draw_figure.py"


if exists("draw_flatmap"):

    rule draw_flatmap:
        """Scores on one subject's own flattened cortex, where pycortex is installed."""
        input:
            **tables_of("maps", "scores"),
            **responses(),
            mark=local(study.dataset.mark("pycortex-{subject}")),
            transforms=str(study.dataset.transforms),
        output:
            **made("draw_flatmap"),
        log:
            log_of("draw_flatmap"),
        benchmark:
            benchmark_of("draw_flatmap")
        conda:
            "../envs/voxscale.yaml"
        resources:
            **needs("draw_flatmap"),
        params:
            **parameters("draw_flatmap"),
        script:
            "../workflow/scripts/draw_flatmap.py"

    rule flatmaps:
        """Flatmaps of every subject; must be requested, since pycortex is optional."""
        input:
            all_of("draw_flatmap", "flatmap"),
