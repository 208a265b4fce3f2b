# Needs: responses to the repeats of the test story, or those of other subjects.
# Makes: the noise ceiling of each voxel with its interval, and its drift over repeats.


rule estimate_ceiling:
    """Signal power, noise power and noise ceiling of every voxel of one subject."""
    input:
        **responses(),
        others=ancient(lambda wildcards: others("responses", wildcards.subject)),
        others_digest=lambda wildcards: others("responses_digest", wildcards.subject),
        voxels=lambda wildcards: voxel_table(wildcards.subject),
    output:
        **made("estimate_ceiling"),
    log:
        log_of("estimate_ceiling"),
    benchmark:
        benchmark_of("estimate_ceiling")
    conda:
        "../envs/voxscale.yaml"
    resources:
        **needs("estimate_ceiling"),
    params:
        **parameters("estimate_ceiling"),
    script:
        "../workflow/scripts/estimate_ceiling.py"
