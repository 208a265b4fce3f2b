# Needs: the benchmarks that finished jobs left behind.
# Makes: a page that compares the cost model with them. Not part of the study: ask for results/resources.html.


rule compare_resources:
    """Predicted and measured memory and time of every rule."""
    input:
        **tables_of("all", "summary"),
    output:
        **made("compare_resources"),
    log:
        log_of("compare_resources"),
    benchmark:
        benchmark_of("compare_resources")
    conda:
        "../envs/voxscale.yaml"
    resources:
        **needs("compare_resources"),
    params:
        **parameters("compare_resources"),
        config=without_site(config),
        base=str(BASE),
    script:
        "../workflow/scripts/compare_resources.py"
