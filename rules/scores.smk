# Needs: the indexes of cells' fits, with those of the reference cells, model cards, noise ceilings, tables of voxels.
# Makes: for a selection of cells (all, one sweep, the maps) one table of scores, of summaries and of voxels; the room
# that the scores of the maps leave below the noise ceiling.


rule gather_scores:
    """Scores of a selection of cells in one table, a row per cell and voxel set in another."""
    input:
        fits=lambda wildcards: fits_of(
            [*study.selections[wildcards.selection], *study.reference_cells]
        ),
        banded=lambda wildcards: banded_paths(study.selections[wildcards.selection]),
        cards=lambda wildcards: selected("card", "model", wildcards.selection),
        ceilings=lambda wildcards: selected("ceiling", "subject", wildcards.selection),
        places=lambda wildcards: selected_places(wildcards.selection),
    output:
        **made("gather_scores"),
    log:
        log_of("gather_scores"),
    benchmark:
        benchmark_of("gather_scores")
    conda:
        "../envs/voxscale.yaml"
    resources:
        **needs("gather_scores"),
    params:
        **parameters("gather_scores"),
    script:
        "../workflow/scripts/gather_scores.py"


if exists("measure_room"):

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
            "../envs/voxscale.yaml"
        resources:
            **needs("measure_room"),
        params:
            **parameters("measure_room"),
        script:
            "../workflow/scripts/measure_room.py"


if exists("compare_models"):

    rule compare_models:
        """Two fits compared: differences of their scores with intervals and p, from the moments they kept."""
        input:
            unpack(
                lambda wildcards: tables_of(
                    f"comparison-{wildcards.comparison}", "voxels"
                )
            ),
            fits=lambda wildcards: fits_of(
                study.selections[f"comparison-{wildcards.comparison}"]
            ),
            other=lambda wildcards: other_study(wildcards.comparison),
        output:
            **made("compare_models"),
        log:
            log_of("compare_models"),
        benchmark:
            benchmark_of("compare_models")
        conda:
            "../envs/voxscale.yaml"
        resources:
            **needs("compare_models"),
        params:
            **parameters("compare_models"),
        script:
            "../workflow/scripts/compare_models.py"
