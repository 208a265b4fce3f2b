"""An installed voxscale, wheel or editable, works from any folder."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import yaml
from workflow.runs import HOME, tiny_config

NOTEBOOK = """
import numpy as np
import voxscale
from voxscale import BandedRidgeCV, VoxelwiseRidgeCV
random = np.random.default_rng(0)
X, Y = random.standard_normal((90, 4)), random.standard_normal((90, 3))
model = VoxelwiseRidgeCV(device="cpu").fit(X, Y, groups=np.repeat([0, 1, 2], 30))
print(voxscale.__file__, model.predict(X).shape)
"""


def run(command, cwd, **variables):
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=kept | {"OMP_NUM_THREADS": "1"} | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # setuptools builds beside the source
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (source / name).write_bytes((HOME / name).read_bytes())
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "workflow/scripts/voxscale"],
        cwd=HOME,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(lambda name: (HOME / name).is_file(), listed.stdout.split()):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((HOME / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    run([*pip, "--wheel-dir", folder, source], folder)
    (found,) = folder.glob("voxscale-*.whl")
    return found


def test_the_wheel_holds_every_file_of_the_library(wheel):
    packed = {
        name for name in zipfile.ZipFile(wheel).namelist() if not name.split("/")[0].endswith(".dist-info")
    }
    library = HOME / "workflow/scripts/voxscale"
    there = {
        path.relative_to(library.parent).as_posix()
        for path in library.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == there
    assert "voxscale/py.typed" in packed


def test_an_installed_voxscale_works_from_any_folder(wheel, tmp_path):
    run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], tmp_path)
    bin_ = tmp_path / "venv/bin"
    (site,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    # The locked packages are seen, nothing of this checkout is.
    (site / "locked.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    pip = [bin_ / "python", "-m", "pip", "install", "--no-deps", "--no-index", "--quiet", wheel]
    run([*pip, "--ignore-installed", "--no-warn-script-location"], tmp_path)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(tiny_config()))
    (tmp_path / "study").mkdir()
    which = ["--configfile", tmp_path / "mine.yaml", "--directory", "study"]
    plan = run([bin_ / "voxscale", "plan", *which], tmp_path)
    assert "fit_encoding" in plan
    assert run([bin_ / "python", "-m", "voxscale", "plan", *which], tmp_path) == plan
    assert "extract" in run([bin_ / "voxscale", "status", *which], tmp_path)
    stated = run([bin_ / "python", "-c", NOTEBOOK], tmp_path)
    assert stated.split()[0] == str(site / "voxscale/__init__.py")
    assert "(90, 3)" in stated
    assert not [path for path in Path(tmp_path).iterdir() if path.name not in ("venv", "mine.yaml", "study")]
