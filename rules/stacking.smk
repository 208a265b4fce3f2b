# Needs: out-of-fold and test predictions of the stack's members.
# Makes: for every voxel the best convex combination of the members, its score, and what each adds.


rule stack_models:
    """Stack the members' predictions of one subject, score the stack, partition its variance."""
    input:
        **responses(),
        predictions=member_paths,
        cards=lambda wildcards: [
            PATHS["card"].format(model=cell.model)
            for cell in study.stacking_cells(wildcards.subject)
        ],
        subject=PATHS["subject_table"],
    output:
        **made("stack_models"),
    log:
        log_of("stack_models"),
    benchmark:
        benchmark_of("stack_models")
    conda:
        "../envs/voxscale.yaml"
    resources:
        **needs("stack_models"),
    params:
        **parameters("stack_models"),
    script:
        "../workflow/scripts/stack_models.py"
