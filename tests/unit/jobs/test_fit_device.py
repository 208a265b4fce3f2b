"""Where fits run: by what is offered and by price, as the run decides, without an effect on numbers."""

import pytest
from workflow.runs import tiny_config

from voxscale.jobs import Jobs, plan
from voxscale.jobs.fit_device import decided_encoding, fit_device
from voxscale.study import load_study, machine
from voxscale.study import site as sites

LARGE = {
    "dataset": {
        "kind": "ds003020",
        "root": "ds003020",
        "subjects": ["UTS01"],
        "test_stories": ["wheretheressmoke"],
    },
    "sweeps": {"sizes": {"models": ["llama-7b"], "layers": [6]}},
}
OFFER = {"cluster": {"gpu": {"partition": "gpu"}}}


@pytest.fixture(autouse=True)
def login_node(monkeypatch):
    """A machine without a GPU, which submits jobs to SLURM."""
    monkeypatch.setattr(machine.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(machine, "GPUS", ())
    monkeypatch.delenv("SLURM_CONF", raising=False)
    monkeypatch.delenv(sites.VARIABLE, raising=False)


def on_gpu(config, **encoding):
    study = load_study({**config, "encoding": {**config.get("encoding", {}), **encoding}})
    assert decided_encoding(study)["device"] == ("cuda" if fit_device(study).on_gpu else "cpu")
    return fit_device(study).on_gpu


def test_auto_takes_what_a_cluster_offers_if_it_is_cheaper():
    assert on_gpu(LARGE | OFFER)
    assert not on_gpu(LARGE)  # no GPU is offered
    assert not on_gpu(tiny_config() | OFFER)  # of which a CPU makes each fit in no time
    assert not on_gpu(LARGE | OFFER, device="cpu")
    assert on_gpu(LARGE, device="cuda")


def test_a_gpu_of_this_machine_is_taken(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "GPUS", (str(tmp_path),))
    assert not on_gpu(tiny_config())  # of a login node, from which jobs go elsewhere
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    assert on_gpu(tiny_config())


def test_jobs_decide_as_the_run_and_nothing_is_fitted_again_for_it(monkeypatch):
    here, offered = (Jobs(load_study(config)) for config in (LARGE, LARGE | OFFER))
    fit = next(job for job in offered.all() if job.rule == "fit_encoding")
    need = offered.need(fit)
    assert (need.gpus, fit.record.kind(offered.study), fit.record.kind(here.study)) == (1, "gpu", "cpu")
    assert offered.digest(fit) == here.digest(fit)
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)  # in a container on a node
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert Jobs(load_study(LARGE | OFFER)).need(fit) == need


def test_the_plan_says_both_prices_times_and_where_fits_run():
    row = plan.Row("fit_encoding", jobs=1, seconds=60, on_cpus=300, on_cards=4)
    for config, where in (
        (LARGE | OFFER, "GPUs (encoding.device: auto; the cheaper way"),
        (LARGE, "CPUs (enc"),
    ):
        text = plan.describe_plan([row], load_study(config), cores=100, gpus=8)
        assert "300 core-hours on CPUs, 3.0 h with 100 cores" in text
        assert "4.00 GPU-hours on GPUs as fast as an H200, 30 min with 8" in text
        assert f"They are priced on {where}" in text
