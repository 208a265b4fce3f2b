# Needs: features of a model, responses and stories of a subject.
# Makes: for every model x layer x subject x n_train, the scores of all voxels and draws; predictions, weights.


rule fit_encoding:
    """Voxelwise ridge of one cell: every draw of its training stories, scored on the test stories."""
    input:
        **responses(),
        # The index changes whenever any story is added. What this fit depends on is in the other
        # inputs and the parameters: model, stories, settings and versions of the extraction.
        features=ancient(PATHS["features"]),
        card=PATHS["card"],
        subject=PATHS["subject_table"],
        sounds=lambda wildcards: (
            PATHS["sounds"] if study.hears(wildcards.model) else []
        ),
    output:
        **made("fit_encoding"),
    log:
        log_of("fit_encoding"),
    benchmark:
        benchmark_of("fit_encoding")
    conda:
        "../envs/features.yaml"
    threads: threads("fit_encoding")
    resources:
        **needs("fit_encoding"),
    params:
        **parameters("fit_encoding"),
        scratch=lambda wildcards, output: scratch_of(output.cell_moments),
    script:
        "../workflow/scripts/fit_encoding.py"


rule predict_encoding:
    """Out-of-fold and test predictions of one cell at the alphas its fit chose."""
    input:
        **responses(),
        features=ancient(PATHS["features"]),
        subject=PATHS["subject_table"],
        scores=PATHS["cell_scores"],
    output:
        **made("predict_encoding"),
    log:
        log_of("predict_encoding"),
    benchmark:
        benchmark_of("predict_encoding")
    conda:
        "../envs/features.yaml"
    threads: threads("predict_encoding")
    resources:
        **needs("predict_encoding"),
    params:
        **parameters("predict_encoding"),
    script:
        "../workflow/scripts/predict_encoding.py"


rule weigh_encoding:
    """Ridge weights of one cell at the alphas its fit chose. Made only if requested by path."""
    input:
        **responses(),
        features=ancient(PATHS["features"]),
        subject=PATHS["subject_table"],
        scores=PATHS["cell_scores"],
    output:
        **made("weigh_encoding"),
    log:
        log_of("weigh_encoding"),
    benchmark:
        benchmark_of("weigh_encoding")
    conda:
        "../envs/features.yaml"
    threads: threads("weigh_encoding")
    resources:
        **needs("weigh_encoding"),
    params:
        **parameters("weigh_encoding"),
    script:
        "../workflow/scripts/weigh_encoding.py"
