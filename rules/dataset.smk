# Needs: a dataset as published, or the phantom's stories.
# Makes: words, phones and TR clock of each story; stories and responses of each subject.

if exists("scan_phantom"):

    rule write_phantom_stimuli:
        """The phantom's stories in the published layout, and what in them drives its voxels."""
        input:
            [str(PROSE / f"{story}.txt") for story in study.stories],
        output:
            local(phantom_stimuli(study)),
            **made("write_phantom_stimuli"),
        log:
            log_of("write_phantom_stimuli"),
        benchmark:
            benchmark_of("write_phantom_stimuli")
        conda:
            "../envs/voxscale.yaml"
        resources:
            **needs("write_phantom_stimuli"),
        params:
            **parameters("write_phantom_stimuli"),
            truth=lambda wildcards, output: folder_of(output.drives),
        script:
            "../workflow/scripts/write_phantom_stimuli.py"

    rule scan_phantom:
        """One subject of the phantom: a brain whose truth is known, and its responses as published."""
        input:
            truth=PATHS["stimuli_truth"],
            drives=PATHS["drives"],
        output:
            local(phantom_scans(study, "{subject}")),
            **made("scan_phantom"),
        log:
            log_of("scan_phantom"),
        benchmark:
            benchmark_of("scan_phantom")
        wildcard_constraints:
            subject="|".join(study.subjects),
        conda:
            "../envs/voxscale.yaml"
        resources:
            **needs("scan_phantom"),
        params:
            **parameters("scan_phantom"),
            truth=lambda wildcards, output: folder_of(output.brain),
        script:
            "../workflow/scripts/scan_phantom.py"


rule read_story:
    """Words, phones and TR clock of one story."""
    input:
        lambda wildcards: local(study.dataset.story_inputs(wildcards.story)),
    output:
        **made("read_story"),
    log:
        log_of("read_story"),
    benchmark:
        benchmark_of("read_story")
    conda:
        "../envs/voxscale.yaml"
    resources:
        **needs("read_story"),
    params:
        **parameters("read_story"),
    script:
        "../workflow/scripts/read_story.py"


rule describe_subject:
    """Which stories a subject heard, in which role, with a digest of each."""
    input:
        words=lambda wildcards: expand(
            PATHS["words"], story=study.heard(wildcards.subject)
        ),
        clocks=lambda wildcards: expand(
            PATHS["clock"], story=study.heard(wildcards.subject)
        ),
    output:
        **made("describe_subject"),
    log:
        log_of("describe_subject"),
    benchmark:
        benchmark_of("describe_subject")
    conda:
        "../envs/voxscale.yaml"
    resources:
        **needs("describe_subject"),
    params:
        **parameters("describe_subject"),
    script:
        "../workflow/scripts/describe_subject.py"


rule digest_sounds:
    """A digest of the sound of each story a subject heard, by which a fit knows that none has changed."""
    input:
        lambda wildcards: local(study.sound_inputs(study.heard(wildcards.subject))),
    output:
        **made("digest_sounds"),
    log:
        log_of("digest_sounds"),
    benchmark:
        benchmark_of("digest_sounds")
    conda:
        "../envs/voxscale.yaml"
    resources:
        **needs("digest_sounds"),
    params:
        **parameters("digest_sounds"),
    script:
        "../workflow/scripts/digest_sounds.py"


rule digest_responses:
    """A digest of the sources of a subject's responses: a fit runs again only if it changes."""
    input:
        lambda wildcards: local(study.dataset.response_inputs(wildcards.subject)),
    output:
        **made("digest_responses"),
    log:
        log_of("digest_responses"),
    benchmark:
        benchmark_of("digest_responses")
    conda:
        "../envs/voxscale.yaml"
    resources:
        **needs("digest_responses"),
    params:
        **parameters("digest_responses"),
    script:
        "../workflow/scripts/digest_responses.py"


rule prepare_responses:
    """Responses of one subject in one checked file, laid out for fits."""
    input:
        lambda wildcards: local(study.dataset.response_inputs(wildcards.subject)),
        # Which voxels are kept is a parameter: so a new label of a region changes nothing.
        voxels=lambda wildcards: local(ancient(study.chosen_voxels(wildcards.subject))),
    output:
        **made("prepare_responses"),
    log:
        log_of("prepare_responses"),
    benchmark:
        benchmark_of("prepare_responses")
    conda:
        "../envs/voxscale.yaml"
    resources:
        **needs("prepare_responses"),
    params:
        **parameters("prepare_responses"),
    script:
        "../workflow/scripts/prepare_responses.py"


if exists("place_voxels"):

    rule place_voxels:
        """Region and place on the cortex of each voxel of a subject, from the dataset's own surfaces."""
        input:
            lambda wildcards: local(study.dataset.place_inputs(wildcards.subject)),
            responses=PATHS["responses"],
        output:
            **made("place_voxels"),
        log:
            log_of("place_voxels"),
        benchmark:
            benchmark_of("place_voxels")
        conda:
            "../envs/voxscale.yaml"
        resources:
            **needs("place_voxels"),
        params:
            **parameters("place_voxels"),
        script:
            "../workflow/scripts/place_voxels.py"
