"""The report: every figure with its caption, the laws' numbers, warnings, config and provenance."""

from voxscale.figures import read_table
from voxscale.io import read_json
from voxscale.provenance import collect, hash_config
from voxscale.report import log_notes, write_report
from voxscale.script import script
from voxscale.study import PRESETS, read_yaml

TABLES = (
    *("summary", "subjects", "voxels", "laws", "law_points", "layer_choice", "artifact", "comparison_sets"),
    *("joint", "what_next"),
)

if "snakemake" in globals():
    with script(snakemake):
        write_report(
            [
                (png, *said)
                for png, said in zip(snakemake.input.figures, snakemake.params.figures, strict=True)
            ],
            {name: read_table(name, snakemake.input[name]) for name in TABLES},
            snakemake.params.config,
            collect(config=hash_config(snakemake.params.config), models=snakemake.params.models),
            snakemake.output[0],
            template=snakemake.input.template,
            presets=read_yaml(PRESETS),
            validation=read_json(*snakemake.input.validation) if snakemake.input.validation else None,
            chief_laws=snakemake.params.chief_laws,
            untrained=snakemake.params.untrained,
            stories=snakemake.params.stories,
            steps=snakemake.params.steps,
            # What was said before the first job has the notes again.
            found=[line for line in log_notes(snakemake.params.logs) if line not in snakemake.params.notes],
            notes=snakemake.params.notes,
            cautions=snakemake.params.cautions,
        )
