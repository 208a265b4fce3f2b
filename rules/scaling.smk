# Needs: the indexes of a sweep's fits, its summary and voxels.
# Makes: scaling laws with intervals, layer profiles, the long-context artifact.


rule fit_law:
    """One scaling law, all its forms, for every subject and pooled, with intervals."""
    input:
        unpack(
            lambda wildcards: tables_of(law_selection(wildcards), "summary", "voxels")
        ),
        fits=lambda wildcards: fits_of(study.law_cells(wildcards.law)),
    output:
        **made("fit_law"),
    log:
        log_of("fit_law"),
    benchmark:
        benchmark_of("fit_law")
    conda:
        "../envs/voxscale.yaml"
    resources:
        **needs("fit_law"),
    params:
        **parameters("fit_law"),
    script:
        "../workflow/scripts/fit_law.py"


if exists("profile_layers"):

    rule profile_layers:
        """Scores by relative depth, the layer chosen in training, and what choosing on the test set adds."""
        input:
            **tables_of(study.profile_sweep, "summary", "voxels"),
            fits=lambda wildcards: fits_of(study.profile_cells),
        output:
            **made("profile_layers"),
        log:
            log_of("profile_layers"),
        benchmark:
            benchmark_of("profile_layers")
        conda:
            "../envs/voxscale.yaml"
        resources:
            **needs("profile_layers"),
        params:
            **parameters("profile_layers"),
        script:
            "../workflow/scripts/profile_layers.py"


rule measure_artifact:
    """Scores against the seconds left out at the start of each test story, by region."""
    input:
        **tables_of("maps", "voxels"),
        fits=lambda wildcards: fits_of(study.map_cells),
    output:
        **made("measure_artifact"),
    log:
        log_of("measure_artifact"),
    benchmark:
        benchmark_of("measure_artifact")
    conda:
        "../envs/voxscale.yaml"
    resources:
        **needs("measure_artifact"),
    params:
        **parameters("measure_artifact"),
    script:
        "../workflow/scripts/measure_artifact.py"


if exists("measure_asymmetry"):

    rule measure_asymmetry:
        """Score of each region on the left less that of its homologue on the right."""
        input:
            **tables_of("maps", "voxels"),
            fits=lambda wildcards: fits_of(study.map_cells),
        output:
            **made("measure_asymmetry"),
        log:
            log_of("measure_asymmetry"),
        benchmark:
            benchmark_of("measure_asymmetry")
        conda:
            "../envs/voxscale.yaml"
        resources:
            **needs("measure_asymmetry"),
        params:
            **parameters("measure_asymmetry"),
        script:
            "../workflow/scripts/measure_asymmetry.py"


if exists("fit_joint"):

    rule fit_joint:
        """The score as a surface over parameters and hours, and the gain of each next step."""
        input:
            **tables_of(study.config["joint"]["sweep"], "summary", "voxels"),
            fits=lambda wildcards: fits_of(study.joint_cells),
        output:
            **made("fit_joint"),
        log:
            log_of("fit_joint"),
        benchmark:
            benchmark_of("fit_joint")
        conda:
            "../envs/voxscale.yaml"
        resources:
            **needs("fit_joint"),
        params:
            **parameters("fit_joint"),
        script:
            "../workflow/scripts/fit_joint.py"


if exists("analyse_plateau"):

    rule analyse_plateau:
        """Scores of language models against size and against bits per character of the same stories."""
        input:
            points=PATHS["law_points"].format(law=study.chief_laws["language"]),
            features=expand(
                PATHS["features"], model=study.law_models(study.chief_laws["language"])
            ),
        output:
            **made("analyse_plateau"),
        log:
            log_of("analyse_plateau"),
        benchmark:
            benchmark_of("analyse_plateau")
        conda:
            "../envs/voxscale.yaml"
        resources:
            **needs("analyse_plateau"),
        params:
            **parameters("analyse_plateau"),
        script:
            "../workflow/scripts/analyse_plateau.py"
