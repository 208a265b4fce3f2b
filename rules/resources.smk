# Needs: the benchmarks that finished jobs left behind.
# Makes: a page that compares the cost model with them. Not part of the study: ask for results/resources.html.


rule compare_resources:
    """Predicted beside measured memory and time of every rule."""
    input:
        **tables_of("all", "summary"),
    output:
        page="results/resources.html",
    log:
        "<logs>/compare_resources/all.log",
    benchmark:
        "<benchmarks>/compare_resources/all.jsonl"
    conda:
        "../envs/features.yaml"
    resources:
        **needs("compare_resources"),
    params:
        config=config,
        folder=str(HOME / "config"),
        code=code("compare_resources"),
    script:
        "../workflow/scripts/compare_resources.py"
