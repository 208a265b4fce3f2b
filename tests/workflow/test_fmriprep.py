"""The examples of fMRIPrep's outputs in the guide, with a small folder of each form in place."""

import pandas as pd
import pytest
import yaml
from fmriprep_lab import STORIES, write_fmriprep
from workflow.runs import HOME, smallest_config, snakemake
from workflow.test_guides import blocks

FORMS = ("volume", "surface", "grayordinates")


def study(form, root):
    """The example of a form as a study of one control."""
    text = (HOME / "docs/dataset.md").read_text().partition("## fMRIPrep's outputs: `fmriprep`\n")[2]
    examples = dict(zip(FORMS, blocks(text.partition("\n## ")[0], "yaml"), strict=True))
    config = smallest_config() | yaml.safe_load(examples[form])
    del config["phantom"]
    config["encoding"] = {"delays": [0]}  # the responses of this brain do not wait
    config["dataset"]["root"] = str(root)
    return config


@pytest.mark.parametrize("form", FORMS)
def test_each_example_of_the_guide_ends_in_a_report(form, tmp_path):
    write_fmriprep(tmp_path / "lab", form, "derivatives/fmriprep")
    done = snakemake(tmp_path, config=study(form, tmp_path / "lab"))
    assert done.status == 0, done.text[-3000:]
    scores = pd.read_parquet(tmp_path / "results/tables/all/scores.parquet")
    assert scores.r[scores.model == "word_rate"].median() > 0.5
    if form == "volume":
        vertices = pd.read_csv(tmp_path / "results/voxels/01.tsv", sep="\t").vertex
        assert vertices.notna().mean() > 0.5
        assert (tmp_path / "results/figures/map_scores.png").stat().st_size > 20_000
    page = (tmp_path / "results/report.html").read_text()
    for said in ("3 TRs at the start of each run left out", "0.4 s after the start of a TR", "motion (full)"):
        assert said in page
    assert set(pd.read_parquet(tmp_path / "results/subjects/01.parquet").story) == set(STORIES)
