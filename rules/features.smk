# Needs: words, phones, clocks and sounds of the stories; the model registry.
# Makes: a card for each model, and its features of every story on the stimulus clock. All layers are kept: one
# more costs no pass then, and disk is what `make plan` shows.


rule prepare_model:
    """Build or fetch a model, count its parameters, write its card."""
    input:
        # Only a model that is built here learns its words from the stories.
        words=lambda wildcards: (
            expand(PATHS["words"], story=study.stories)
            if study.registry[wildcards.model].build
            else []
        ),
        weights=lambda wildcards: local(study.local_weights(wildcards.model)),
        # A model of reduced features has the sizes of the one it is reduced from.
        source=lambda wildcards: source_of(wildcards.model, "card"),
    output:
        **made("prepare_model"),
    log:
        log_of("prepare_model"),
    benchmark:
        benchmark_of("prepare_model")
    # Nodes often have no network: as with all downloads, the config's `cluster` may name a place that has.
    localrule: not study.cluster.submits_downloads
    conda:
        "../envs/voxscale.yaml"
    resources:
        **needs("prepare_model"),
    params:
        **parameters("prepare_model"),
    script:
        "../workflow/scripts/prepare_model.py"


rule extract_language_features:
    """Hidden states of a causal language model at every word, on the TR clock."""
    input:
        card=PATHS["card"],
        words=expand(PATHS["words"], story=study.stories),
        clocks=expand(PATHS["clock"], story=study.stories),
    output:
        **made("extract_language_features"),
    log:
        log_of("extract_language_features"),
    benchmark:
        benchmark_of("extract_language_features")
    wildcard_constraints:
        model=models_of("language"),
    conda:
        "../envs/voxscale.yaml"
    threads: threads("extract_language_features")
    resources:
        **needs("extract_language_features"),
    params:
        **parameters("extract_language_features"),
        store=lambda wildcards, output: f"{folder_of(output.features)}/stories",
    script:
        "../workflow/scripts/extract_language_features.py"


rule extract_speech_features:
    """Last frame of a speech encoder in every sliding window, on the TR clock."""
    input:
        local(study.sound_inputs(study.stories)),
        card=PATHS["card"],
        clocks=expand(PATHS["clock"], story=study.stories),
    output:
        **made("extract_speech_features"),
    log:
        log_of("extract_speech_features"),
    benchmark:
        benchmark_of("extract_speech_features")
    wildcard_constraints:
        model=models_of("speech"),
    conda:
        "../envs/voxscale.yaml"
    threads: threads("extract_speech_features")
    resources:
        **needs("extract_speech_features"),
    params:
        **parameters("extract_speech_features"),
        store=lambda wildcards, output: f"{folder_of(output.features)}/stories",
    script:
        "../workflow/scripts/extract_speech_features.py"


rule extract_control_features:
    """Features that no model is needed for: rates, spectrum, time, and the phantom's own latent."""
    input:
        lambda wildcards: (
            local(study.sound_inputs(study.stories))
            if study.hears(wildcards.model)
            else []
        ),
        card=PATHS["card"],
        words=expand(PATHS["words"], story=study.stories),
        phones=expand(PATHS["phones"], story=study.stories),
        latents=local(latents(study)),
        clocks=expand(PATHS["clock"], story=study.stories),
    output:
        **made("extract_control_features"),
    log:
        log_of("extract_control_features"),
    benchmark:
        benchmark_of("extract_control_features")
    wildcard_constraints:
        model=models_of("control", "nested"),
    conda:
        "../envs/voxscale.yaml"
    resources:
        **needs("extract_control_features"),
    params:
        **parameters("extract_control_features"),
        store=lambda wildcards, output: f"{folder_of(output.features)}/stories",
    script:
        "../workflow/scripts/extract_control_features.py"


rule extract_own_features:
    """Features of the user's own, and vectors of words from a text file, on the TR clock."""
    input:
        lambda wildcards: local(study.local_weights(wildcards.model)),
        card=PATHS["card"],
        words=expand(PATHS["words"], story=study.stories),
        clocks=expand(PATHS["clock"], story=study.stories),
    output:
        **made("extract_own_features"),
    log:
        log_of("extract_own_features"),
    benchmark:
        benchmark_of("extract_own_features")
    wildcard_constraints:
        model=models_of("features", "embeddings"),
    conda:
        "../envs/voxscale.yaml"
    resources:
        **needs("extract_own_features"),
    params:
        **parameters("extract_own_features"),
        store=lambda wildcards, output: f"{folder_of(output.features)}/stories",
    script:
        "../workflow/scripts/extract_own_features.py"


rule extract_derived_features:
    """Another model's features, reduced to principal components of the training stories."""
    input:
        # As for a fit: the source's settings and versions are in the parameters.
        features=lambda wildcards: ancient(source_of(wildcards.model, "features")),
        stimuli=expand([PATHS["words"], PATHS["clock"]], story=study.stories),
        card=PATHS["card"],
    output:
        **made("extract_derived_features"),
    log:
        log_of("extract_derived_features"),
    benchmark:
        benchmark_of("extract_derived_features")
    wildcard_constraints:
        model=models_of("derived"),
    conda:
        "../envs/voxscale.yaml"
    resources:
        **needs("extract_derived_features"),
    params:
        **parameters("extract_derived_features"),
        store=lambda wildcards, output: f"{folder_of(output.features)}/stories",
    script:
        "../workflow/scripts/extract_derived_features.py"
