# Needs: every figure and table of the study.
# Makes: one HTML file that tells the study in order and opens without a network.


rule write_report:
    """The report: every figure with its caption, the laws' numbers, warnings, config and provenance."""
    input:
        **tables_of("all", "summary", "voxels"),
        figures=[f"results/figures/{name}.png" for name in study.figures],
        numbers=[f"results/figures/{name}.csv" for name in study.figures],
        validation="results/validation.json" if "validation" in study.figures else [],
        laws=expand(PATHS["law"], law=study.config["laws"]),
        law_points=expand(PATHS["law_points"], law=study.config["laws"]),
        subjects=expand(PATHS["subject_table"], subject=study.subjects),
        what_next=PATHS["what_next"] if study.joint_cells else [],
        layer_choice=PATHS["layer_choice"] if study.profile_cells else [],
        template=str(HOME / "workflow/report/report.html.j2"),
        story=str(HOME / "workflow/report/story.yaml"),
        captions=[str(HOME / f"workflow/report/{name}.rst") for name in study.figures],
        presets=str(HOME / "config/presets.yaml"),
    output:
        report="results/report.html",
    log:
        "<logs>/write_report/all.log",
    benchmark:
        "<benchmarks>/write_report/all.jsonl"
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("write_report"),
    params:
        **parameters("write_report"),
        # The thousands of fits, which have a layer, warn of nothing.
        logs=lambda wildcards: [
            str(job.log) for job in jobs.all() if "layer" not in job.wildcards
        ],
        code=code("write_report"),
    script:
        "../workflow/scripts/write_report.py"
