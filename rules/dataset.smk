# Needs: a dataset as published, or the phantom's stories.
# Makes: words, phones and TR clock of each story; stories and responses of each subject.

PHANTOM_TRUTH = "results/phantom-truth"

if study.dataset.kind == "phantom":

    rule write_phantom_stimuli:
        """The phantom's stories in the published layout, and what in them drives its voxels."""
        input:
            [
                str(HOME / f"config/phantom/stories/{story}.txt")
                for story in study.stories
            ],
        output:
            study.phantom_stimuli,
            truth=f"{PHANTOM_TRUTH}/stimuli.json",
            drives=f"{PHANTOM_TRUTH}/drives.h5",
        log:
            "<logs>/write_phantom_stimuli/all.log",
        benchmark:
            "<benchmarks>/write_phantom_stimuli/all.jsonl"
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("write_phantom_stimuli"),
        params:
            **parameters("write_phantom_stimuli"),
            truth=lambda wildcards: PHANTOM_TRUTH,
            prose=lambda wildcards: str(HOME / "config/phantom/stories"),
            code=code("write_phantom_stimuli"),
        script:
            "../workflow/scripts/write_phantom_stimuli.py"

    rule scan_phantom:
        """One subject of the phantom: a brain whose truth is known, and its responses as published."""
        input:
            truth=f"{PHANTOM_TRUTH}/stimuli.json",
            drives=f"{PHANTOM_TRUTH}/drives.h5",
        output:
            study.phantom_scans("{subject}"),
            truth=f"{PHANTOM_TRUTH}/{{subject}}.json",
            voxels=f"{PHANTOM_TRUTH}/{{subject}}.parquet",
        log:
            "<logs>/scan_phantom/{subject}.log",
        benchmark:
            "<benchmarks>/scan_phantom/{subject}.jsonl"
        wildcard_constraints:
            subject="|".join(study.subjects),
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("scan_phantom"),
        params:
            **parameters("scan_phantom"),
            truth=lambda wildcards: PHANTOM_TRUTH,
            code=code("scan_phantom"),
        script:
            "../workflow/scripts/scan_phantom.py"


rule read_story:
    """Words, phones and TR clock of one story."""
    input:
        lambda wildcards: study.dataset.story_inputs(wildcards.story),
    output:
        words=PATHS["words"],
        phones=PATHS["phones"],
        clock=PATHS["clock"],
    log:
        "<logs>/read_story/{story}.log",
    benchmark:
        "<benchmarks>/read_story/{story}.jsonl"
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("read_story"),
    params:
        **parameters("read_story"),
        code=code("read_story"),
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
        table=PATHS["subject_table"],
    log:
        "<logs>/describe_subject/{subject}.log",
    benchmark:
        "<benchmarks>/describe_subject/{subject}.jsonl"
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("describe_subject"),
    params:
        **parameters("describe_subject"),
        code=code("describe_subject"),
    script:
        "../workflow/scripts/describe_subject.py"


rule digest_sounds:
    """A digest of the sound of each story a subject heard, by which a fit knows that none has changed."""
    input:
        lambda wildcards: study.sound_inputs(study.heard(wildcards.subject)),
    output:
        sounds=PATHS["sounds"],
    log:
        "<logs>/digest_sounds/{subject}.log",
    benchmark:
        "<benchmarks>/digest_sounds/{subject}.jsonl"
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("digest_sounds"),
    params:
        **parameters("digest_sounds"),
    script:
        "../workflow/scripts/digest_sounds.py"


rule digest_responses:
    """A digest of everything a subject's responses are made of, by which a fit knows that none has changed."""
    input:
        lambda wildcards: study.dataset.response_inputs(wildcards.subject),
        voxels=lambda wildcards: study.voxel_tables().get(wildcards.subject, []),
    output:
        digest=PATHS["responses_digest"],
    log:
        "<logs>/digest_responses/{subject}.log",
    benchmark:
        "<benchmarks>/digest_responses/{subject}.jsonl"
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("digest_responses"),
    params:
        **parameters("digest_responses"),
        preparation=code("prepare_responses"),
    script:
        "../workflow/scripts/digest_responses.py"


rule prepare_responses:
    """Responses of one subject in one checked file, laid out for fits."""
    input:
        lambda wildcards: study.dataset.response_inputs(wildcards.subject),
        # A table of regions and places alone, made from the responses, decides nothing here.
        voxels=lambda wildcards: study.chosen_voxels(wildcards.subject),
    output:
        responses=PATHS["responses"],
    log:
        "<logs>/prepare_responses/{subject}.log",
    benchmark:
        "<benchmarks>/prepare_responses/{subject}.jsonl"
    conda:
        "../envs/analysis.yaml"
    resources:
        **needs("prepare_responses"),
    params:
        **parameters("prepare_responses"),
        code=code("prepare_responses"),
    script:
        "../workflow/scripts/prepare_responses.py"


if study.dataset.places_voxels:

    rule place_voxels:
        """Region and place on the cortex of each voxel of a subject, from the dataset's own surfaces."""
        input:
            mark=study.dataset.mark("pycortex-{subject}"),
            responses=PATHS["responses"],
            transforms=str(study.dataset.transforms),
        output:
            table="results/voxels/{subject}.tsv",
        log:
            "<logs>/place_voxels/{subject}.log",
        benchmark:
            "<benchmarks>/place_voxels/{subject}.jsonl"
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("place_voxels"),
        params:
            **parameters("place_voxels"),
            code=code("place_voxels"),
        script:
            "../workflow/scripts/place_voxels.py"
