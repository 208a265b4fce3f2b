# Needs: the published dataset's manifest (voxscale/dataset/ds003020/manifest.tsv) and its server.
# Makes: the files a study needs under dataset.root, and a mark for each part that is complete and checked.

if exists("fetch_dataset"):

    rule fetch_dataset:
        """One part of the published dataset, downloaded where it is missing, every file checked."""
        output:
            **made("fetch_dataset"),
        log:
            log_of("fetch_dataset"),
        benchmark:
            benchmark_of("fetch_dataset")
        wildcard_constraints:
            part="|".join(study.dataset.parts),
        localrule: not study.cluster.submits_downloads
        conda:
            "../envs/voxscale.yaml"
        resources:
            **needs("fetch_dataset"),
        params:
            **parameters("fetch_dataset"),
            jobs=4,  # connections; they wait for the network, not for a core
        script:
            "../workflow/scripts/fetch_dataset.py"

    rule fetch:
        """Everything of the published dataset that the study needs."""
        input:
            local([study.dataset.mark(part) for part in study.dataset.parts]),
        localrule: True
