"""All models first, from a stand-in for the hub; then a study without it; refusals before any job."""

import json

import pytest
import yaml
from hub import COMMIT, Hub
from workflow.runs import smallest_config, snakemake

from voxscale.models import MODELS, load_registry
from voxscale.models.build import build_model

TINY = yaml.safe_load(MODELS.read_text())["tiny-opt-1"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    entry = load_registry({"tiny": TINY})["tiny"]
    build_model(entry, folder, ["the night was cold and the baker was late"])
    return folder


def published(hub_id, **changes):
    plain = {key: value for key, value in TINY.items() if key != "build"}
    return plain | {"hub": hub_id} | changes


def config_with(**models):
    config = smallest_config()
    config["models"] = models
    config["sweeps"] = {"size": {"models": list(models), "layers": "last"}}
    return config


@pytest.fixture
def hub(weights, tmp_path, monkeypatch):
    served = Hub({"lab/tiny": weights, "lab/closed": weights}, gated={"lab/closed"})
    monkeypatch.setenv("HF_ENDPOINT", served.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    yield served
    served.close()


def test_models_first_and_then_a_study_without_the_hub(tmp_path, hub, monkeypatch):
    config = config_with(mine=published("lab/tiny"))
    run = snakemake(tmp_path, "models", config=config)
    assert run.status == 0, run.text[-3000:]
    assert run.rules == {"prepare_model": 1, "models": 1}
    card = json.loads((tmp_path / "results/models/mine.json").read_text())
    assert card["weights_id"] == f"lab/tiny@{COMMIT}"
    assert "model.safetensors" in hub.sent
    hub.close()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    run = snakemake(tmp_path, "features", config=config)
    assert run.status == 0, run.text[-3000:]
    assert "prepare_model" not in run.rules
    (tmp_path / "results/models/mine.json").unlink()
    run = snakemake(tmp_path, "models", config=config)  # from the cache
    assert run.status == 0, run.text[-3000:]


def test_models_that_cannot_be_had_are_named_before_any_job(tmp_path, hub):
    config = config_with(
        mine=published("lab/tiny"),
        closed=published("lab/closed"),
        lost=published("lab/nosuch"),
        old=published("lab/tiny", revision="step9"),
        private=published(None),
    )
    run = snakemake(tmp_path, "features", config=config)
    assert run.status != 0
    (line,) = [line for line in run.text.splitlines() if line.startswith("ERROR")]
    for stated in (
        "closed: lab/closed (revision main) is gated; accept its licence at huggingface.co/lab/closed",
        "lost: the hub has no lab/nosuch",
        "old: lab/tiny has no revision step9",
        "private: its weights are not on the hub; set path",
    ):
        assert stated in line, line
    assert "mine" not in line
    assert run.jobs == []
    assert "Traceback" not in run.text
    assert not (tmp_path / "results/models").exists()
    again = snakemake(tmp_path, "features", config=config)  # no lock is left behind
    assert "closed: lab/closed (revision main) is gated" in again.text


def test_without_a_network_a_model_that_is_not_in_the_cache_is_named(tmp_path, hub, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    run = snakemake(tmp_path, "models", config=config_with(mine=published("lab/tiny")))
    assert run.status != 0
    assert "config key models.mine: lab/tiny (revision main) is not in the local cache" in run.text
    assert "make models" in run.text
    assert hub.sent == []
    assert run.jobs == []


def test_quantized_weights_are_refused_unless_allowed(tmp_path, weights):
    folder = tmp_path / "quantized"
    folder.mkdir()
    for file in weights.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    settings = json.loads((folder / "config.json").read_text())
    settings["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    (folder / "config.json").write_text(json.dumps(settings))
    config = config_with(mine=published(None, path=str(folder)))
    run = snakemake(tmp_path, "models", config=config)
    assert run.status != 0
    assert "mine: quantized holds quantized weights" in run.text
    config["features"]["allow_quantized"] = True
    run = snakemake(tmp_path, "models", config=config)
    assert run.status == 0, run.text[-3000:]
