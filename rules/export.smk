# Needs: scores of cells, comparisons, noise ceilings, tables of voxels, and where each subject's voxels lie.
# Makes: images of these results in the data's own space; only if requested.


rule export_images:
    """Maps of one kind of result of one subject, as NIfTI, GIFTI or CIFTI files with sidecars."""
    input:
        fits=lambda wildcards: fits_of(exported(wildcards).cells),
        banded=lambda wildcards: banded_paths(exported(wildcards).cells),
        ceiling=export_table("ceiling"),
        comparison=export_table("comparison"),
        voxels=lambda wildcards: local(export_table("voxels")(wildcards)),
        places=lambda wildcards: local(study.dataset.geometry_inputs(wildcards.subject)),
    output:
        export=directory(PATHS["export"]),
    log:
        log_of("export_images"),
    benchmark:
        benchmark_of("export_images")
    wildcard_constraints:
        maps=EXPORT_NAMES,
    conda:
        "../envs/voxscale.yaml"
    resources:
        **needs("export_images"),
    params:
        **parameters("export_images"),
    script:
        "../workflow/scripts/export_images.py"


rule export:
    """Images of the scores of the maps, the comparisons, ceilings, best layers and regions of every subject."""
    input:
        lambda wildcards: all_of("export_images", "export"),
