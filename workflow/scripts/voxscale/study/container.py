"""What a container of apptainer or singularity sees: the image, and what jobs read outside their folder."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from voxscale.errors import UserError
from voxscale.study.study import Study

NO_IMAGE = "config key container: --sdm apptainer has no image, so jobs run without one; see docs/install.md"


def require_image(study: Study) -> None:
    """Make sure that the image is there, if it is a file.

    Raises:
        UserError: it is not.
    """
    image = study.container
    if image and "://" not in image and not Path(image).exists():
        raise UserError(f"config key container: {image} does not exist; build it as docs/install.md says")


def show_to_containers(study: Study, workflow: str | Path) -> None:
    """Let containers see the workflow, data and models that are outside the working directory, and GPUs.

    Snakemake shows them the working directory only, which is also their home. So the models' cache is named.
    """
    cache = Path(os.environ.setdefault("HF_HOME", str(Path.home() / ".cache/huggingface")))
    dataset = study.config["dataset"]
    files = [Path(dataset[key]).parent for key in ("voxels", "defects") if dataset[key]]
    models = [folder for entry in study.registry.values() if (folder := entry.folder)]
    seen = [workflow, cache, dataset["root"], tempfile.gettempdir(), *files, *models]
    for program in ("APPTAINER", "SINGULARITY"):
        before = filter(None, os.environ.get(f"{program}_BIND", "").split(","))
        os.environ[f"{program}_BIND"] = ",".join(dict.fromkeys([*before, *_outside(seen)]))
        if Path("/dev/nvidia0").exists():
            os.environ.setdefault(f"{program}_NV", "1")


def _outside(paths: Iterable[str | Path]) -> Iterable[str]:
    """Those of some folders that exist outside the working directory, absolute."""
    for path in (Path(each).resolve() for each in paths):
        if path.is_dir() and not path.is_relative_to(Path.cwd()):
            yield str(path)
