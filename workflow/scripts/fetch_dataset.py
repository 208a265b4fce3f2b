"""One part of the published dataset on disk, every file checked."""

from voxscale.dataset import download_files
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        download_files(
            files=snakemake.params.files,
            root=snakemake.params.root,
            url=snakemake.params.means.url,
            mark=snakemake.output[0],
            jobs=snakemake.params.jobs,
        )
