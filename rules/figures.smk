# Needs: tables of scores, laws, layers, ceilings and stacks.
# Makes: every figure as PNG and PDF, with the numbers it shows as CSV.


if "language" in study.chief_laws:

    rule draw_score_by_language_model_size:
        """Score against the size of the language model, with its law."""
        input:
            **law_tables("language"),
        output:
            **figure("score_by_language_model_size", "Scaling laws"),
        log:
            "<logs>/draw_score_by_language_model_size/all.log",
        benchmark:
            "<benchmarks>/draw_score_by_language_model_size/all.jsonl"
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("draw_score_by_language_model_size"),
        params:
            **parameters("draw_score_by_language_model_size"),
            code=code("draw_score_by_language_model_size"),
        script:
            "../workflow/scripts/draw_score_by_language_model_size.py"


if "speech" in study.chief_laws:

    rule draw_score_by_speech_model_size:
        """Score against the size of the speech model, with its law."""
        input:
            **law_tables("speech"),
        output:
            **figure("score_by_speech_model_size", "Scaling laws"),
        log:
            "<logs>/draw_score_by_speech_model_size/all.log",
        benchmark:
            "<benchmarks>/draw_score_by_speech_model_size/all.jsonl"
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("draw_score_by_speech_model_size"),
        params:
            **parameters("draw_score_by_speech_model_size"),
            code=code("draw_score_by_speech_model_size"),
        script:
            "../workflow/scripts/draw_score_by_speech_model_size.py"


if "training" in study.chief_laws:

    rule draw_score_by_training_hours:
        """Score against the hours of training data, with its law."""
        input:
            **law_tables("training"),
        output:
            **figure("score_by_training_hours", "Scaling laws"),
        log:
            "<logs>/draw_score_by_training_hours/all.log",
        benchmark:
            "<benchmarks>/draw_score_by_training_hours/all.jsonl"
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("draw_score_by_training_hours"),
        params:
            **parameters("draw_score_by_training_hours"),
            code=code("draw_score_by_training_hours"),
        script:
            "../workflow/scripts/draw_score_by_training_hours.py"


if study.profile_cells:

    rule draw_score_by_layer:
        """Score by layer, at relative depth, for each model family."""
        input:
            layers=PATHS["layers"],
        output:
            **figure("score_by_layer", "Layers"),
        log:
            "<logs>/draw_score_by_layer/all.log",
        benchmark:
            "<benchmarks>/draw_score_by_layer/all.jsonl"
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("draw_score_by_layer"),
        params:
            **parameters("draw_score_by_layer"),
            code=code("draw_score_by_layer"),
        script:
            "../workflow/scripts/draw_score_by_layer.py"


rule draw_map_scores:
    """Voxel scores on the cortex."""
    input:
        **tables_of("maps", "scores", "voxels"),
    output:
        **figure("map_scores", "Maps"),
    log:
        "<logs>/draw_map_scores/all.log",
    benchmark:
        "<benchmarks>/draw_map_scores/all.jsonl"
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("draw_map_scores"),
    params:
        options={},
        code=code("draw_map_scores"),
    script:
        "../workflow/scripts/draw_map_scores.py"


rule draw_score_distribution:
    """Voxel scores over voxels."""
    input:
        **tables_of("maps", "scores"),
    output:
        **figure("score_distribution", "Maps"),
    log:
        "<logs>/draw_score_distribution/all.log",
    benchmark:
        "<benchmarks>/draw_score_distribution/all.jsonl"
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("draw_score_distribution"),
    params:
        options={},
        code=code("draw_score_distribution"),
    script:
        "../workflow/scripts/draw_score_distribution.py"


rule draw_map_ceiling:
    """Noise ceiling, share of it reached and room left, on the cortex."""
    input:
        **tables_of("maps", "voxels"),
        room=PATHS["room"],
    output:
        **figure("map_ceiling", "Noise ceilings"),
    log:
        "<logs>/draw_map_ceiling/all.log",
    benchmark:
        "<benchmarks>/draw_map_ceiling/all.jsonl"
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("draw_map_ceiling"),
    params:
        options={},
        code=code("draw_map_ceiling"),
    script:
        "../workflow/scripts/draw_map_ceiling.py"


rule draw_ceiling_distribution:
    """Noise ceiling, share of it reached and room left, over voxels."""
    input:
        **tables_of("maps", "voxels"),
        room=PATHS["room"],
    output:
        **figure("ceiling_distribution", "Noise ceilings"),
    log:
        "<logs>/draw_ceiling_distribution/all.log",
    benchmark:
        "<benchmarks>/draw_ceiling_distribution/all.jsonl"
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("draw_ceiling_distribution"),
    params:
        options={},
        code=code("draw_ceiling_distribution"),
    script:
        "../workflow/scripts/draw_ceiling_distribution.py"


rule draw_ceiling_drift:
    """Agreement of the repeats of the test story, from the first to the last."""
    input:
        drift=expand(PATHS["drift"], subject=study.subjects),
    output:
        **figure("ceiling_drift", "Noise ceilings"),
    log:
        "<logs>/draw_ceiling_drift/all.log",
    benchmark:
        "<benchmarks>/draw_ceiling_drift/all.jsonl"
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("draw_ceiling_drift"),
    params:
        options={},
        code=code("draw_ceiling_drift"),
    script:
        "../workflow/scripts/draw_ceiling_drift.py"


if study.config["stacking"]["members"]:

    rule draw_stacking_gain:
        """What stacking gains: on the cortex, over voxels, by region."""
        input:
            **stacking_tables(),
        output:
            **figure("stacking_gain", "Stacking"),
        log:
            "<logs>/draw_stacking_gain/all.log",
        benchmark:
            "<benchmarks>/draw_stacking_gain/all.jsonl"
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("draw_stacking_gain"),
        params:
            options={},
            code=code("draw_stacking_gain"),
        script:
            "../workflow/scripts/draw_stacking_gain.py"


if study.config["stacking"]["members"]:

    rule draw_variance_partition:
        """Variance that language, speech or both explain, by region."""
        input:
            **stacking_tables(),
        output:
            **figure("variance_partition", "Stacking"),
        log:
            "<logs>/draw_variance_partition/all.log",
        benchmark:
            "<benchmarks>/draw_variance_partition/all.jsonl"
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("draw_variance_partition"),
        params:
            options={},
            code=code("draw_variance_partition"),
        script:
            "../workflow/scripts/draw_variance_partition.py"


rule draw_long_context_artifact:
    """Score against the seconds left out at the start of each test story."""
    input:
        artifact=PATHS["artifact"],
    output:
        **figure("long_context_artifact", "Checks"),
    log:
        "<logs>/draw_long_context_artifact/all.log",
    benchmark:
        "<benchmarks>/draw_long_context_artifact/all.jsonl"
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("draw_long_context_artifact"),
    params:
        **parameters("draw_long_context_artifact"),
        code=code("draw_long_context_artifact"),
    script:
        "../workflow/scripts/draw_long_context_artifact.py"


rule draw_controls:
    """Every model beside the controls."""
    input:
        **tables_of("all", "summary"),
    output:
        **figure("controls", "Checks"),
    log:
        "<logs>/draw_controls/all.log",
    benchmark:
        "<benchmarks>/draw_controls/all.jsonl"
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("draw_controls"),
    params:
        **parameters("draw_controls"),
        code=code("draw_controls"),
    script:
        "../workflow/scripts/draw_controls.py"


if study.joint_cells:

    rule draw_what_next:
        """The joint law of model size and training hours, and the gain of each next step."""
        input:
            surface=PATHS["joint_surface"],
            what_next=PATHS["what_next"],
        output:
            **figure("what_next", "What next"),
        log:
            "<logs>/draw_what_next/all.log",
        benchmark:
            "<benchmarks>/draw_what_next/all.jsonl"
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("draw_what_next"),
        params:
            options={},
            code=code("draw_what_next"),
        script:
            "../workflow/scripts/draw_what_next.py"


if study.plateau_arms:

    rule draw_plateau:
        """Laws with and without the points where p > n, and scores against bits per character."""
        input:
            points=expand(PATHS["law_points"], law=study.plateau_arms),
            laws=expand(PATHS["law"], law=study.plateau_arms),
            plateau=PATHS["plateau"],
            fits=PATHS["plateau_fits"],
        output:
            **figure("plateau", "What next"),
        log:
            "<logs>/draw_plateau/all.log",
        benchmark:
            "<benchmarks>/draw_plateau/all.jsonl"
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("draw_plateau"),
        params:
            **parameters("draw_plateau"),
            code=code("draw_plateau"),
        script:
            "../workflow/scripts/draw_plateau.py"


if study.dataset.kind == "ds003020" and study.map_cells:

    rule draw_flatmap:
        """Scores on one subject's own flattened cortex, where pycortex is installed."""
        input:
            **tables_of("maps", "scores"),
            **RESPONSES,
            mark=study.dataset.mark("pycortex-{subject}"),
            transforms=str(study.dataset.transforms),
        output:
            png="results/figures/flatmaps/{subject}.png",
        log:
            "<logs>/draw_flatmap/{subject}.log",
        benchmark:
            "<benchmarks>/draw_flatmap/{subject}.jsonl"
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("draw_flatmap"),
        params:
            **parameters("draw_flatmap"),
            code=code("draw_flatmap"),
        script:
            "../workflow/scripts/draw_flatmap.py"

    rule flatmaps:
        """Flatmaps of every subject: asked for by name, since pycortex is optional."""
        input:
            expand("results/figures/flatmaps/{subject}.png", subject=study.subjects),
