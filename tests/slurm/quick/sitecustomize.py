"""On the path of the tests' runs: they ask the cluster every two seconds, not ever more seldom."""

import asyncio
import sys

if "--workflow-profile" in sys.orig_argv:
    from snakemake_executor_plugin_slurm import Executor

    async def sleep(self):
        await asyncio.sleep(2)

    Executor.sleep = sleep
