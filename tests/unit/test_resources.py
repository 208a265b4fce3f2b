"""The cost model: against counted parameters, written files, the solver's own arithmetic."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from voxscale import resources
from voxscale.config import read_yaml
from voxscale.errors import UserError
from voxscale.feature_store import write_story
from voxscale.models import load_registry
from voxscale.models.counting import count_entry
from voxscale.resources import Need
from voxscale.ridge.budget import Sizes, flops

HOME = Path(__file__).parents[2]
ENCODING = {
    "delays": [1, 2, 3, 4],
    "alphas": {"n": 15},
    "folds": {"n": 5},
    "form": "auto",
    "precision": "float32",
    "screen": "auto",
    "memory_gb": 4,
}


def test_a_retry_asks_for_more_of_both():
    need = Need(memory_mb=1000, seconds=600)
    memory = [need.requested_mb(attempt) for attempt in (1, 2, 3)]
    assert memory[0] >= 1000 + resources.SNAKEMAKE
    assert memory[1] >= 1.5 * (1000 + resources.SNAKEMAKE)
    assert memory[0] < memory[1] < memory[2]
    assert [need.requested_minutes(attempt) for attempt in (1, 2, 3)] == [35, 70, 140]


@pytest.mark.parametrize("slug", ["opt-125m", "opt-30b", "llama-7b", "whisper-large", "hubert-large"])
def test_parameters_are_those_of_the_real_architecture(slug):
    entry = load_registry(read_yaml(HOME / "config/models.yaml"))[slug]
    vocab = (entry.vocab or 0) if entry.modality == "language" else 0
    estimate = resources.parameters(entry.width, entry.n_layers, vocab, entry.config)
    assert estimate == pytest.approx(count_entry(entry).total, rel=0.08)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_features_on_disk_are_as_large_as_said(tmp_path, dtype):
    trs, width, layers = [30, 300], 64, 3
    for i, n in enumerate(trs):
        values = {layer: np.ones((n, width), np.float32) for layer in range(layers)}
        write_story(tmp_path / f"{i}.h5", values, {}, dtype)
    stored = 0
    for path in tmp_path.glob("*.h5"):
        with h5py.File(path) as file:
            stored += sum(dataset.id.get_storage_size() for dataset in file.values())
    said = resources.feature_bytes(width, layers, trs, dtype)
    assert said <= stored < 1.001 * said  # with checksums


@pytest.mark.parametrize(("n", "d", "form"), [(3000, 4096, "dual"), (9000, 256, "primal")])
def test_flops_of_a_fit_are_the_solvers(n, d, form):
    folds = ((n // 5, n - n // 5),) * 5
    sizes = Sizes(n=n, d=d, delays=4, m=300, voxels=20_000, alphas=15, folds=folds)
    assert resources.fit_flops(n, 4 * d, 300, 20_000, 15, 5) == pytest.approx(flops(form, sizes), rel=0.15)


def test_a_fit_never_asks_for_more_than_its_limit_and_the_tables():
    small = resources.fit(2000, 300, 512, 5000, ENCODING)
    large = resources.fit(9000, 300, 512, 80_000, ENCODING, n_draws=5, union=12_000)
    assert small.memory_mb < large.memory_mb < 1.05 * 4000 + 90e-6 * 5 * 80_000
    assert large.seconds * large.threads > 5 * small.seconds * small.threads
    assert large.disk_mb == pytest.approx(5 * 80_000 * (45 + 20 * 30) / 1e6)


def test_a_fit_that_cannot_be_done_is_told_before_it_is_submitted():
    with pytest.raises(UserError, match=r"encoding.memory_gb: .* for 30000 training TRs"):
        resources.fit(30_000, 300, 7168, 80_000, ENCODING)


def test_a_model_larger_than_a_gpu_is_spread_over_several():
    settings = {"device": "auto", "on_disk": "float16", "dtype": "auto", "bits_per_character": True}
    needs = {
        size: resources.extraction("language", 8192, 80, size, 32_000, [300] * 80, 2.0, settings)
        for size in (7e9, 70e9)
    }
    assert needs[7e9].gpus == 1
    assert needs[70e9].gpus == 3  # 140 GB of weights and room to work, 72 GB of a GPU used
    on_cpu = resources.extraction("language", 64, 2, 1e5, 512, [30], 2.0, settings | {"device": "cpu"})
    assert on_cpu.gpus == 0


def test_weights_published_in_single_precision_take_twice_the_memory_on_a_gpu():
    settings = {"device": "auto", "on_disk": "float16", "dtype": "auto", "bits_per_character": True}
    half, single = (
        resources.extraction(
            "language", 8192, 80, 70e9, 32_000, [300] * 80, 2.0, settings, weight_bytes=bytes_
        )
        for bytes_ in (2, 4)
    )
    assert (half.gpus, single.gpus) == (3, 4)  # 148 and 288 GB at 72 GB of a GPU
    assert single.memory_mb - half.memory_mb == pytest.approx(140_000)
    chosen = resources.extraction(
        "language", 8192, 80, 70e9, 32_000, [300], 2.0, settings | {"dtype": "float16"}, weight_bytes=4
    )
    assert chosen.gpus == 3


def test_cores_are_given_by_the_work():
    assert resources.worth_threads(1e9) == 1
    cores = [resources.worth_threads(resources.CPU_FLOPS * 120 * work) for work in (1, 1.5, 3, 8, 1000)]
    assert cores == [1, 2, 4, 8, 16]


def test_an_unknown_dtype_is_a_mistake():
    with pytest.raises(UserError, match="unknown dtype int8"):
        resources.item_bytes("int8")
