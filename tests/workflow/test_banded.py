"""Banded ridge as a rule: its scores stand beside those of single models."""

import pandas as pd
import pytest
from workflow.runs import snakemake, tiny_config

SCORES = "results/scores/model=banded-both/subject=UTS01/layer=0_n_train=4.parquet"


def banded_config():
    """The tiny study with a language model and a control as two bands."""
    config = tiny_config()
    config["dataset"]["subjects"] = ["UTS01"]
    config["sweeps"]["size"] |= {"n_train": ["all"], "draws": 1}
    config["banded"] = {"both": {"bands": [{"model": "tiny-opt-1"}, {"model": "word_rate"}], "samples": 4}}
    return config


def test_scores_are_gathered_with_those_of_single_models(tmp_path):
    config, target = banded_config(), "results/tables/all/summary.parquet"
    run = snakemake(tmp_path, target, config=config)
    assert run.status == 0, run.text[-3000:]
    assert run.rules["fit_banded"] == run.rules["describe_banded"] == 1
    scores = pd.read_parquet(tmp_path / SCORES, partitioning=None)
    assert set(scores.model) == {"banded-both"}
    assert scores.r.notna().all()
    single = pd.read_parquet(tmp_path / "results/tables/all/scores.parquet")
    widths = single[single.model != "banded-both"].groupby("model").n_features.first()
    assert set(scores.n_features) == {widths.sum()}
    bands = pd.read_parquet(
        tmp_path / "results/banded/both/subject=UTS01/n_train=4/bands.parquet", partitioning=None
    )
    assert bands.groupby("voxel").share.sum().to_numpy() == pytest.approx(1, abs=1e-6)
    assert bands.groupby("voxel").r.sum().to_numpy() == pytest.approx(
        scores.set_index("voxel").r.sort_index(), abs=1e-5
    )
    summary = pd.read_parquet(tmp_path / target)
    assert set(summary.model) == {"banded-both", "tiny-opt-1", "word_rate"}
    # What a fit may use changes no result.
    config["encoding"] = config.get("encoding", {}) | {"memory_gb": 3, "device": "cpu"}
    assert "Nothing to be done" in snakemake(tmp_path, target, config=config).text


@pytest.mark.parametrize(
    ("band", "message"),
    [
        ({"model": "mel"}, "banded.both.bands: mel is in no sweep"),
        ({"model": "nobody"}, "banded.both.bands: unknown model nobody"),
        ({"model": "tiny-opt-1", "layer": 99}, "layer 99 of model tiny-opt-1"),
    ],
)
def test_a_band_that_is_none(tmp_path, band, message):
    config = banded_config()
    config["banded"]["both"]["bands"][1] = band
    run = snakemake(tmp_path, "--dry-run", config=config)
    assert run.status != 0
    assert message in run.text
    assert "Traceback" not in run.text
