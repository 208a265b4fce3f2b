"""Peak memory stays under the bound that is computed before the work, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROGRAM = """
import json, sys
sys.path.insert(0, 'PATH')
import numpy as np
import torch
torch.set_num_threads(1)
from voxscale.ridge import RidgeProblem, plan_ridge, predict_ridge, solve_ridge, story_folds
case = json.loads(sys.argv[1])


def peak_bytes():
    # Of this program alone; getrusage would go back to the process that started it.
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


random = np.random.default_rng(0)
lengths, d = case["lengths"], case["d"]
n = sum(lengths)


class Endless:
    shape = case["voxels"], n

    def __getitem__(self, voxels):
        count = len(range(*voxels.indices(self.shape[0])))
        return random.standard_normal((count, n), dtype=np.float32)


problem = RidgeProblem(
    random.standard_normal((n, d), dtype=np.float32), lengths,
    random.standard_normal((200, d), dtype=np.float32), [200],
    Endless(), story_folds(lengths, 4), np.logspace(0, 3, case["alphas"]), memory_gb=case["memory_gb"],
    screen=case["screen"], form=case["form"],
)
how = plan_ridge(problem, not case["predict"])
start = peak_bytes()
chosen = np.arange(case["voxels"]) % case["alphas"]
for block in predict_ridge(problem, chosen) if case["predict"] else solve_ridge(problem):
    pass
found = {"peak": peak_bytes(), "start": start, "bound": how.bytes, "alphas": how.alphas}
print(json.dumps(found))
"""
CASES = {
    "dual": {"lengths": [350] * 4, "d": 500, "voxels": 2000, "alphas": 5, "form": "dual"},
    "dual, screened": {"lengths": [350] * 4, "d": 500, "voxels": 2000, "alphas": 5, "screen": "on"},
    "dual, an alpha at a time": {
        "lengths": [250] * 4,
        "d": 300,
        "voxels": 300,
        "alphas": 25,
        "memory_gb": 0.5,
    },
    "dual, screened, an alpha at a time": {
        "lengths": [250] * 4,
        "d": 300,
        "voxels": 600,
        "alphas": 25,
        "memory_gb": 0.55,
        "screen": "on",
    },
    "dual, predictions": {"lengths": [350] * 4, "d": 500, "voxels": 2000, "alphas": 5, "predict": True},
    "primal": {"lengths": [1000] * 4, "d": 80, "voxels": 2000, "alphas": 5, "form": "primal"},
    "primal, screened": {
        "lengths": [1000] * 4,
        "d": 80,
        "voxels": 2000,
        "alphas": 5,
        "form": "primal",
        "screen": "on",
    },
    "primal, an alpha at a time": {
        "lengths": [500] * 4,
        "d": 120,
        "voxels": 300,
        "alphas": 50,
        "form": "primal",
        "memory_gb": 0.65,
    },
    "primal, predictions": {"lengths": [1000] * 4, "d": 80, "voxels": 2000, "alphas": 5, "predict": True},
}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to measure")
@pytest.mark.parametrize("name", CASES)
def test_peak_memory_is_under_the_stated_bound(name):
    case = {"memory_gb": 2.5, "screen": "off", "alphas": 4, "form": "auto", "predict": False, **CASES[name]}
    program = PROGRAM.replace("PATH", str(HERE.parents[2] / "workflow/scripts"))
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(case)], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["bound"] <= case["memory_gb"] * 1e9
    assert found["peak"] <= found["bound"]
    # A bound that is no more than the process itself would prove nothing.
    assert found["peak"] - found["start"] > 0.2 * (found["bound"] - 0.45e9)
    assert (found["alphas"] < case["alphas"]) == ("alpha at a time" in name)
