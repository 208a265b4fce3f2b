# Needs: the phantom's truth, its scores, ceilings, stacks, layers and the law of the nested family.
# Makes: a comparison of the results with the truth.

if exists("validate_phantom"):

    rule validate_phantom:
        """The workflow's results on the phantom compared with the truth, with intervals."""
        input:
            **tables_of("all", "scores"),
            truth=all_of("scan_phantom", "subject_truth"),
            ceiling=all_of("estimate_ceiling", "ceiling"),
            points=PATHS["law_points"].format(law="nested"),
            law=PATHS["laws"].format(law="nested"),
            cards=expand(PATHS["card"], model=study.grid.used_models),
            stacking=all_of("stack_models", "stacking"),
            weights=all_of("stack_models", "stacking_weights"),
            layers=all_of("profile_layers", "layers"),
        output:
            **made("validate_phantom"),
        log:
            log_of("validate_phantom"),
        benchmark:
            benchmark_of("validate_phantom")
        conda:
            "../envs/voxscale.yaml"
        resources:
            **needs("validate_phantom"),
        params:
            **parameters("validate_phantom"),
            truth=lambda wildcards, input: folder_of(input.truth[0]),
        script:
            "../workflow/scripts/validate_phantom.py"
