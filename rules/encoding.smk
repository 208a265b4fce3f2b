# Needs: features of a model, responses and stories of a subject.
# Makes: for every model x layer x subject x n_train, the scores of all voxels and draws; predictions, weights.


rule fit_encoding:
    """Voxelwise ridge of a batch of cells of one model and subject, each finished one kept; the index names them."""
    input:
        **fitted(),
    output:
        **made("fit_encoding"),
    log:
        log_of("fit_encoding"),
    benchmark:
        benchmark_of("fit_encoding")
    conda:
        "../envs/voxscale.yaml"
    threads: threads("fit_encoding")
    resources:
        **needs("fit_encoding"),
    params:
        **parameters("fit_encoding"),
    script:
        "../workflow/scripts/fit_encoding.py"


rule predict_encoding:
    """Out-of-fold and test predictions of one cell at the alphas its fit chose."""
    input:
        **fitted(),
        fits=fit_of,
    output:
        **made("predict_encoding"),
    log:
        log_of("predict_encoding"),
    benchmark:
        benchmark_of("predict_encoding")
    conda:
        "../envs/voxscale.yaml"
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
        **fitted(),
        fits=fit_of,
    output:
        **made("weigh_encoding"),
    log:
        log_of("weigh_encoding"),
    benchmark:
        benchmark_of("weigh_encoding")
    conda:
        "../envs/voxscale.yaml"
    threads: threads("weigh_encoding")
    resources:
        **needs("weigh_encoding"),
    params:
        **parameters("weigh_encoding"),
    script:
        "../workflow/scripts/weigh_encoding.py"
