# Needs: the phantom's truth, its scores, ceilings, stacks, layers and the law of the nested family.
# Makes: what was found beside what is true.

if study.dataset.kind == "phantom" and "nested" in study.config["laws"]:

    rule validate_phantom:
        """What the workflow found on the phantom beside the truth, with intervals."""
        input:
            **tables_of("all", "scores"),
            truth=expand(f"{PHANTOM_TRUTH}/{{subject}}.json", subject=study.subjects),
            ceiling=expand(PATHS["ceiling"], subject=study.subjects),
            points=PATHS["law_points"].format(law="nested"),
            law=PATHS["law"].format(law="nested"),
            cards=expand(PATHS["card"], model=study.grid.used_models),
            stacking=(
                expand(PATHS["stacking"], subject=study.subjects)
                if study.config["stacking"]["members"]
                else []
            ),
            weights=(
                expand(PATHS["stacking_weights"], subject=study.subjects)
                if study.config["stacking"]["members"]
                else []
            ),
            layers=[PATHS["layers"]] if study.profile_cells else [],
        output:
            "results/validation.json",
        log:
            "<logs>/validate_phantom/all.log",
        benchmark:
            "<benchmarks>/validate_phantom/all.jsonl"
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("validate_phantom"),
        params:
            **parameters("validate_phantom"),
            truth=lambda wildcards: PHANTOM_TRUTH,
            code=code("validate_phantom"),
        script:
            "../workflow/scripts/validate_phantom.py"

    rule draw_validation:
        """What was found beside what is true."""
        input:
            validation="results/validation.json",
        output:
            **figure("validation", "Validation"),
        log:
            "<logs>/draw_validation/all.log",
        benchmark:
            "<benchmarks>/draw_validation/all.jsonl"
        conda:
            "../envs/analysis.yaml"
        resources:
            **needs("draw_validation"),
        params:
            options={},
            code=code("draw_validation"),
        script:
            "../workflow/scripts/draw_validation.py"
