"""Digests of the sources of one subject's responses: files, masks, confounds, settings, voxels, version."""

from voxscale.dataset import Reading
from voxscale.io import write_json
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake) as digests:
        sources, beside = snakemake.params.sources, snakemake.params.companions
        settings = Reading(**snakemake.params.reading).settings if snakemake.params.reading else {}
        digest = {
            "responses": {story: [digests[path] for path in paths] for story, paths in sources.items()},
            "mask": digests[beside[0]] if beside else None,
            "voxels": snakemake.params.voxels,
            "code": snakemake.params.preparation,
        }
        if settings or len(beside) > 1:  # of images that were not cleaned by the lab
            digest |= {"beside": [digests[path] for path in beside], "settings": settings}
        write_json(snakemake.output.responses_digest, digest)
