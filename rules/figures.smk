# Needs: tables of scores, laws, layers, ceilings and stacks.
# Makes: every figure as PNG and PDF, with the numbers it shows as CSV.


if exists("draw_score_by_language_model_size"):

    rule draw_score_by_language_model_size:
        """Score against the size of the language model, with its law."""
        input:
            **law_tables("language"),
        output:
            **figure("score_by_language_model_size", "Scaling laws"),
        log:
            log_of("draw_score_by_language_model_size"),
        benchmark:
            benchmark_of("draw_score_by_language_model_size")
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("draw_score_by_language_model_size"),
        params:
            **parameters("draw_score_by_language_model_size"),
        script:
            "../workflow/scripts/draw_score_by_language_model_size.py"


if exists("draw_score_by_speech_model_size"):

    rule draw_score_by_speech_model_size:
        """Score against the size of the speech model, with its law."""
        input:
            **law_tables("speech"),
        output:
            **figure("score_by_speech_model_size", "Scaling laws"),
        log:
            log_of("draw_score_by_speech_model_size"),
        benchmark:
            benchmark_of("draw_score_by_speech_model_size")
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("draw_score_by_speech_model_size"),
        params:
            **parameters("draw_score_by_speech_model_size"),
        script:
            "../workflow/scripts/draw_score_by_speech_model_size.py"


if exists("draw_score_by_training_hours"):

    rule draw_score_by_training_hours:
        """Score against the hours of training data, with its law."""
        input:
            **law_tables("training"),
        output:
            **figure("score_by_training_hours", "Scaling laws"),
        log:
            log_of("draw_score_by_training_hours"),
        benchmark:
            benchmark_of("draw_score_by_training_hours")
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("draw_score_by_training_hours"),
        params:
            **parameters("draw_score_by_training_hours"),
        script:
            "../workflow/scripts/draw_score_by_training_hours.py"


if exists("draw_score_by_layer"):

    rule draw_score_by_layer:
        """Score by layer, at relative depth, for each model family."""
        input:
            layers=PATHS["layers"],
        output:
            **figure("score_by_layer", "Layers"),
        log:
            log_of("draw_score_by_layer"),
        benchmark:
            benchmark_of("draw_score_by_layer")
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("draw_score_by_layer"),
        params:
            **parameters("draw_score_by_layer"),
        script:
            "../workflow/scripts/draw_score_by_layer.py"


rule draw_map_scores:
    """Voxel scores on the cortex."""
    input:
        **tables_of("maps", "scores", "voxels"),
    output:
        **figure("map_scores", "Maps"),
    log:
        log_of("draw_map_scores"),
    benchmark:
        benchmark_of("draw_map_scores")
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("draw_map_scores"),
    params:
        **parameters("draw_map_scores"),
    script:
        "../workflow/scripts/draw_map_scores.py"


rule draw_score_distribution:
    """Voxel scores over voxels."""
    input:
        **tables_of("maps", "scores"),
    output:
        **figure("score_distribution", "Maps"),
    log:
        log_of("draw_score_distribution"),
    benchmark:
        benchmark_of("draw_score_distribution")
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("draw_score_distribution"),
    params:
        **parameters("draw_score_distribution"),
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
        log_of("draw_map_ceiling"),
    benchmark:
        benchmark_of("draw_map_ceiling")
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("draw_map_ceiling"),
    params:
        **parameters("draw_map_ceiling"),
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
        log_of("draw_ceiling_distribution"),
    benchmark:
        benchmark_of("draw_ceiling_distribution")
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("draw_ceiling_distribution"),
    params:
        **parameters("draw_ceiling_distribution"),
    script:
        "../workflow/scripts/draw_ceiling_distribution.py"


rule draw_ceiling_drift:
    """Agreement of the repeats of the test story, from the first to the last."""
    input:
        drift=expand(PATHS["drift"], subject=study.subjects),
    output:
        **figure("ceiling_drift", "Noise ceilings"),
    log:
        log_of("draw_ceiling_drift"),
    benchmark:
        benchmark_of("draw_ceiling_drift")
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("draw_ceiling_drift"),
    params:
        **parameters("draw_ceiling_drift"),
    script:
        "../workflow/scripts/draw_ceiling_drift.py"


if exists("draw_stacking_gain"):

    rule draw_stacking_gain:
        """What stacking gains: on the cortex, over voxels, by region."""
        input:
            **stacking_tables(),
        output:
            **figure("stacking_gain", "Stacking"),
        log:
            log_of("draw_stacking_gain"),
        benchmark:
            benchmark_of("draw_stacking_gain")
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("draw_stacking_gain"),
        params:
            **parameters("draw_stacking_gain"),
        script:
            "../workflow/scripts/draw_stacking_gain.py"


if exists("draw_variance_partition"):

    rule draw_variance_partition:
        """Variance that language, speech or both explain, by region."""
        input:
            **stacking_tables(),
        output:
            **figure("variance_partition", "Stacking"),
        log:
            log_of("draw_variance_partition"),
        benchmark:
            benchmark_of("draw_variance_partition")
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("draw_variance_partition"),
        params:
            **parameters("draw_variance_partition"),
        script:
            "../workflow/scripts/draw_variance_partition.py"


rule draw_long_context_artifact:
    """Score against the seconds left out at the start of each test story."""
    input:
        artifact=PATHS["artifact"],
    output:
        **figure("long_context_artifact", "Checks"),
    log:
        log_of("draw_long_context_artifact"),
    benchmark:
        benchmark_of("draw_long_context_artifact")
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("draw_long_context_artifact"),
    params:
        **parameters("draw_long_context_artifact"),
    script:
        "../workflow/scripts/draw_long_context_artifact.py"


rule draw_controls:
    """Every model beside the controls."""
    input:
        **tables_of("all", "summary"),
    output:
        **figure("controls", "Checks"),
    log:
        log_of("draw_controls"),
    benchmark:
        benchmark_of("draw_controls")
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("draw_controls"),
    params:
        **parameters("draw_controls"),
    script:
        "../workflow/scripts/draw_controls.py"


if exists("draw_what_next"):

    rule draw_what_next:
        """The joint law of model size and training hours, and the gain of each next step."""
        input:
            surface=PATHS["joint_surface"],
            what_next=PATHS["what_next"],
        output:
            **figure("what_next", "What next"),
        log:
            log_of("draw_what_next"),
        benchmark:
            benchmark_of("draw_what_next")
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("draw_what_next"),
        params:
            **parameters("draw_what_next"),
        script:
            "../workflow/scripts/draw_what_next.py"


if exists("draw_plateau"):

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
            log_of("draw_plateau"),
        benchmark:
            benchmark_of("draw_plateau")
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("draw_plateau"),
        params:
            **parameters("draw_plateau"),
        script:
            "../workflow/scripts/draw_plateau.py"


if exists("draw_flatmap"):

    rule draw_flatmap:
        """Scores on one subject's own flattened cortex, where pycortex is installed."""
        input:
            **tables_of("maps", "scores"),
            **RESPONSES,
            mark=study.dataset.mark("pycortex-{subject}"),
            transforms=str(study.dataset.transforms),
        output:
            **made("draw_flatmap"),
        log:
            log_of("draw_flatmap"),
        benchmark:
            benchmark_of("draw_flatmap")
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("draw_flatmap"),
        params:
            **parameters("draw_flatmap"),
        script:
            "../workflow/scripts/draw_flatmap.py"

    rule flatmaps:
        """Flatmaps of every subject: asked for by name, since pycortex is optional."""
        input:
            all_of("draw_flatmap", "flatmap"),
