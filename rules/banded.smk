# Needs: features of several models, responses and stories of a subject.
# Makes: banded ridge on all of them, scores like those of single models, and the share of each band.


rule fit_banded:
    """Banded ridge of one subject on features of several models, from all its training stories."""
    input:
        **responses(),
        features=lambda wildcards: ancient(band_paths("features", wildcards.banded)),
        cards=lambda wildcards: band_paths("card", wildcards.banded),
        subject=PATHS["subject_table"],
        sounds=lambda wildcards: (
            PATHS["sounds"]
            if any(
                study.hears(band["model"]) for band in study.bands(wildcards.banded)
            )
            else []
        ),
    output:
        **made("fit_banded"),
    log:
        log_of("fit_banded"),
    benchmark:
        benchmark_of("fit_banded")
    conda:
        "../envs/voxscale.yaml"
    threads: threads("fit_banded")
    resources:
        **needs("fit_banded"),
    params:
        **parameters("fit_banded"),
    script:
        "../workflow/scripts/fit_banded.py"


rule describe_banded:
    """Card of a banded model, by which its scores are gathered."""
    input:
        cards=lambda wildcards: band_paths("card", wildcards.banded),
    output:
        **made("describe_banded"),
    log:
        log_of("describe_banded"),
    benchmark:
        benchmark_of("describe_banded")
    conda:
        "../envs/voxscale.yaml"
    resources:
        **needs("describe_banded"),
    params:
        **parameters("describe_banded"),
    script:
        "../workflow/scripts/describe_banded.py"
