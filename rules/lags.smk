# Needs: words, clock and responses of each story a subject heard.
# Makes: the score of the word rate over shifts of each story, which has its peak at 0 where they are aligned.


rule scan_lags:
    """Score of the word rate with each story's words 10 s earlier to 10 s later."""
    input:
        **responses(),
        words=lambda wildcards: expand(
            PATHS["words"], story=study.heard(wildcards.subject)
        ),
        clocks=lambda wildcards: expand(
            PATHS["clock"], story=study.heard(wildcards.subject)
        ),
    output:
        **made("scan_lags"),
    log:
        log_of("scan_lags"),
    benchmark:
        benchmark_of("scan_lags")
    # A misaligned story is best known before much is computed with it.
    priority: 1
    conda:
        "../envs/voxscale.yaml"
    resources:
        **needs("scan_lags"),
    params:
        **parameters("scan_lags"),
    script:
        "../workflow/scripts/scan_lags.py"
