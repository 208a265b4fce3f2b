# Needs: features of a model, responses and stories of a subject.
# Makes: for every model x layer x subject x n_train, the scores of all voxels and draws.


def cell_of(wildcards):
    """The cell a job fits, with its number of draws."""
    cell = study.cell(**wildcards)
    return cell._asdict() | {"n_draws": study.grid.draws.get(cell, 1)}


rule fit_encoding:
    """Voxelwise ridge of one cell: every draw of its training stories, scored on the test stories."""
    input:
        # The index changes whenever any story is added; what the fit depends on is in the other inputs.
        features=ancient("<features>"),
        card="<card>",
        responses="<responses>",
        subject="<subject_table>",
    output:
        scores="<cell_scores>",
        moments="<cell_moments>",
    log:
        f"<logs>/fit_encoding/{CELL}.log",
    benchmark:
        f"<benchmarks>/fit_encoding/{CELL}.jsonl"
    conda:
        "../envs/features.yaml"
    params:
        cell=cell_of,
        settings=study.fit_settings(),
        features=lambda wildcards: study.feature_settings(wildcards.model),
        scratch=f"results/scratch/fit_encoding/{CELL}",
        code=code(
            "encoding", "cell_data", "ridge", "preprocess", "significance", "bootstrap"
        ),
    script:
        "../workflow/scripts/fit_encoding.py"


rule predict_encoding:
    """Out-of-fold and test predictions of one cell at the alphas its fit chose."""
    input:
        features=ancient("<features>"),
        responses="<responses>",
        subject="<subject_table>",
        scores="<cell_scores>",
    output:
        predictions=temp("<cell_predictions>"),
    log:
        f"<logs>/predict_encoding/{CELL}.log",
    benchmark:
        f"<benchmarks>/predict_encoding/{CELL}.jsonl"
    conda:
        "../envs/features.yaml"
    params:
        cell=cell_of,
        settings=study.fit_settings(),
        code=code(
            "encoding", "cell_data", "ridge", "preprocess", "significance", "bootstrap"
        ),
    script:
        "../workflow/scripts/predict_encoding.py"
