# Needs: responses to the repeats of the test story; scores of the models of the brain maps.
# Makes: the noise ceiling of each voxel with its interval, its drift over repeats, and the room a score leaves.


rule estimate_ceiling:
    """Signal power, noise power and noise ceiling of every voxel of one subject."""
    input:
        **responses(),
        voxels=lambda wildcards: voxel_table(wildcards.subject),
    output:
        **made("estimate_ceiling"),
    log:
        log_of("estimate_ceiling"),
    benchmark:
        benchmark_of("estimate_ceiling")
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("estimate_ceiling"),
    params:
        **parameters("estimate_ceiling"),
    script:
        "../workflow/scripts/estimate_ceiling.py"


rule measure_room:
    """Share of the noise ceiling that each voxel's score reaches, and the room left."""
    input:
        **tables_of("maps", "scores", "voxels"),
    output:
        **made("measure_room"),
    log:
        log_of("measure_room"),
    benchmark:
        benchmark_of("measure_room")
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("measure_room"),
    params:
        **parameters("measure_room"),
    script:
        "../workflow/scripts/measure_room.py"
