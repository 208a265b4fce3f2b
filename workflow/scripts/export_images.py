"""Results of one subject as images in the data's own space, with sidecars."""

from voxscale.encoding import cell_files
from voxscale.scores import write_images
from voxscale.script import all_settings, script

if "snakemake" in globals():
    with script(snakemake):
        settings, inputs = all_settings(snakemake.params), snakemake.input
        scores = [*cell_files("scores", inputs.fits, settings["cells"])] if inputs.fits else [*inputs.banded]
        tables = {name: str(getattr(inputs, name)) for name in ("voxels", "ceiling", "comparison")}
        files = {name: path for name, path in tables.items() if path}
        write_images(settings, scores, files, snakemake.output.export)
