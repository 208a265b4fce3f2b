# Needs: responses to the repeats of the test story; scores of the models of the brain maps.
# Makes: the noise ceiling of each voxel with its interval, its drift over repeats, and the room a score leaves.


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
        **parameters("estimate_ceiling"),
        code=code("estimate_ceiling"),
    script:
        "../workflow/scripts/estimate_ceiling.py"


rule measure_room:
    """Share of the noise ceiling that each voxel's score reaches, and the room left."""
    input:
        **tables_of("maps", "scores", "voxels"),
    output:
        room=PATHS["room"],
    log:
        "<logs>/measure_room/all.log",
    benchmark:
        "<benchmarks>/measure_room/all.jsonl"
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("measure_room"),
    params:
        code=code("measure_room"),
    script:
        "../workflow/scripts/measure_room.py"
