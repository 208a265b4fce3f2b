# Needs: responses to the repeats of the test story.
# Makes: the noise ceiling of each voxel with its interval, and its drift over repeats.


rule estimate_ceiling:
    """Signal power, noise power and noise ceiling of every voxel of one subject."""
    input:
        **RESPONSES,
        voxels=lambda wildcards: study.voxel_tables().get(wildcards.subject, []),
    output:
        ceiling=PATHS["ceiling"],
        drift=PATHS["drift"],
    log:
        "<logs>/estimate_ceiling/{subject}.log",
    benchmark:
        "<benchmarks>/estimate_ceiling/{subject}.jsonl"
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("estimate_ceiling"),
    params:
        settings=study.ceiling_settings,
        code=code("estimate_ceiling"),
    script:
        "../workflow/scripts/estimate_ceiling.py"
