"""On the path of the tests' runs: they query the cluster about every second."""

import asyncio
import sys
from pathlib import Path

if "--workflow-profile" in sys.orig_argv:
    from snakemake_executor_plugin_slurm import Executor

    async def sleep(self):
        await asyncio.sleep(0.5)

    Executor.sleep = sleep
    sys.path.insert(0, str(Path(__file__).parents[3] / "workflow/scripts"))
    from voxscale.cluster import watch

    watch.LOOK_S = 5.0
