# Needs: every figure and table of the study.
# Makes: one HTML file that presents the study in order and opens without a network.


rule write_report:
    """The report: every figure with its caption, the laws' numbers, warnings, config and provenance."""
    input:
        **tables_of("all", "summary", "voxels"),
        figures=all_of("draw_figure", "figure"),
        numbers=all_of("draw_figure", "figure_csv"),
        validation=all_of("validate_phantom", "validation"),
        laws=all_of("fit_law", "laws"),
        law_points=all_of("fit_law", "law_points"),
        subjects=all_of("describe_subject", "subject_table"),
        joint=all_of("fit_joint", "joint"),
        what_next=all_of("fit_joint", "what_next"),
        layer_choice=all_of("profile_layers", "layer_choice"),
        comparison_sets=all_of("compare_models", "comparison_sets"),
        artifact=all_of("measure_artifact", "artifact"),
        template=str(HOME / "workflow/report/report.html.j2"),
        story=str(HOME / "workflow/report/story.yaml"),
    output:
        **made("write_report"),
    log:
        log_of("write_report"),
    benchmark:
        benchmark_of("write_report")
    conda:
        "../envs/voxscale.yaml"
    resources:
        **needs("write_report"),
    params:
        **parameters("write_report"),
        # The thousands of fits, which have a layer, warn of nothing.
        logs=lambda wildcards: [
            str(EXAMINED),
            *(
                str(BASE / job.log)
                for job in jobs.all()
                if "layer" not in job.wildcards
            ),
        ],
    script:
        "../workflow/scripts/write_report.py"
