"""Digests of the sources of one subject's responses: files, mask, choice of voxels, version."""

from voxscale.io import write_json
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake) as digests:
        sources, mask = snakemake.params.sources, snakemake.params.mask
        digest = {
            "responses": {story: [digests[path] for path in paths] for story, paths in sources.items()},
            "mask": digests[str(mask)] if mask else None,
            "voxels": snakemake.params.voxels,
            "code": snakemake.params.preparation,
        }
        write_json(snakemake.output.responses_digest, digest)
