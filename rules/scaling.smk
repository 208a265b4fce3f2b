# Needs: block moments of the cells of a sweep, its summary and voxels.
# Makes: scaling laws with intervals, layer profiles, the long-context artifact.


rule fit_law:
    """One scaling law, all its forms, for every subject and pooled, with intervals."""
    input:
        unpack(
            lambda wildcards: tables_of(law_selection(wildcards), "summary", "voxels")
        ),
        moments=lambda wildcards: cell_paths(
            "cell_moments", study.law_cells(wildcards.law)
        ),
    output:
        law=PATHS["law"],
        points=PATHS["law_points"],
        curves=PATHS["law_curves"],
    log:
        "<logs>/fit_law/{law}.log",
    benchmark:
        "<benchmarks>/fit_law/{law}.jsonl"
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("fit_law"),
    params:
        **parameters("fit_law"),
        code=code("fit_law"),
    script:
        "../workflow/scripts/fit_law.py"


if study.profile_cells:

    rule profile_layers:
        """Scores by relative depth, the layer chosen in training, and what choosing on the test set adds."""
        input:
            **tables_of(study.profile_sweep, "summary", "voxels"),
            scores=cell_paths("cell_scores", study.profile_cells),
            moments=cell_paths("cell_moments", study.profile_cells),
        output:
            layers=PATHS["layers"],
            choice=PATHS["layer_choice"],
        log:
            "<logs>/profile_layers/all.log",
        benchmark:
            "<benchmarks>/profile_layers/all.jsonl"
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("profile_layers"),
        params:
            **parameters("profile_layers"),
            code=code("profile_layers"),
        script:
            "../workflow/scripts/profile_layers.py"


rule measure_artifact:
    """Scores against the seconds left out at the start of each test story, by region."""
    input:
        **tables_of("maps", "voxels"),
        moments=cell_paths("cell_moments", study.map_cells),
    output:
        artifact=PATHS["artifact"],
    log:
        "<logs>/measure_artifact/all.log",
    benchmark:
        "<benchmarks>/measure_artifact/all.jsonl"
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("measure_artifact"),
    params:
        **parameters("measure_artifact"),
        code=code("measure_artifact"),
    script:
        "../workflow/scripts/measure_artifact.py"


if study.joint_cells:

    rule fit_joint:
        """The score as a surface over parameters and hours, and the gain of each next step."""
        input:
            **tables_of(study.config["joint"]["sweep"], "summary", "voxels"),
            moments=cell_paths("cell_moments", study.joint_cells),
        output:
            joint=PATHS["joint"],
            surface=PATHS["joint_surface"],
            what_next=PATHS["what_next"],
        log:
            "<logs>/fit_joint/all.log",
        benchmark:
            "<benchmarks>/fit_joint/all.jsonl"
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("fit_joint"),
        params:
            **parameters("fit_joint"),
            code=code("fit_joint"),
        script:
            "../workflow/scripts/fit_joint.py"


if study.plateau_arms:

    rule analyse_plateau:
        """Scores of language models against size and against bits per character of the same stories."""
        input:
            points=PATHS["law_points"].format(law=study.chief_laws["language"]),
            features=expand(
                PATHS["features"], model=study.law_models(study.chief_laws["language"])
            ),
        output:
            plateau=PATHS["plateau"],
            fits=PATHS["plateau_fits"],
        log:
            "<logs>/analyse_plateau/all.log",
        benchmark:
            "<benchmarks>/analyse_plateau/all.jsonl"
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("analyse_plateau"),
        params:
            **parameters("analyse_plateau"),
            code=code("analyse_plateau"),
        script:
            "../workflow/scripts/analyse_plateau.py"
