"""Where weights lie within the limits of the config, and what a job asks for then."""

import pytest

from voxscale.jobs import resources
from voxscale.models import loading
from voxscale.models.spread import Spread, size_bytes, spread_weights

LIMITED = {"gpu": "70GiB", "cpu": "100GiB"}
GIB = 2**30


def test_sizes_are_read_as_accelerate_reads_them():
    from accelerate.utils.modeling import convert_file_size_to_int

    for text in ("70GiB", "500MB", "100 KB", "7 MiB", "3GB", "12KiB"):
        assert size_bytes(text) == convert_file_size_to_int(text), text


@pytest.mark.parametrize(
    ("gpu", "device_map", "limits", "expected"),
    [
        (True, None, {}, Spread(3, 140e9, 0)),  # 148 GB at 72 GB of a GPU
        (True, "auto", {"gpu": "70GiB"}, Spread(2, 140e9, 0)),
        (True, "auto", {"gpu": "20GiB"}, Spread(7, 140e9, 0)),
        (True, "auto", {"cpu": "10GiB"}, Spread(2, 10 * GIB, 0)),  # 137 GB at 72 GB of a GPU
        (True, "auto", LIMITED, Spread(1, 100 * GIB, 0)),
        (True, None, LIMITED, Spread(1, 100 * GIB, 0)),  # it is spread by itself
        (True, "auto", {"gpu": "0GB", "cpu": "100GiB"}, Spread(1, 100 * GIB, 140e9 - 100 * GIB)),
        (False, None, LIMITED, Spread(0, 280e9, 0)),  # no map, no limit
        (False, "auto", {}, Spread(0, 140e9, 0)),
        (False, "auto", LIMITED, Spread(0, 100 * GIB, 140e9 - 100 * GIB)),
    ],
)
def test_weights_of_seventy_billion(gpu, device_map, limits, expected):
    assert spread_weights(140e9, gpu, device_map, limits) == expected


def test_a_model_that_fits_a_gpu_takes_one_and_heeds_no_limit_without_a_map():
    assert spread_weights(14e9, True, None, LIMITED | {"gpu": "5GiB"}) == Spread(1, 14e9, 0)
    assert spread_weights(14e9, True, "auto", {"gpu": "5GiB"}).gpus == 3


def asked(untrained=False, **settings):
    settings = {"device": "cpu", "on_disk": "float16", "dtype": "bfloat16", "device_map": "auto"} | settings
    return resources.extraction(
        "language", 8192, 80, 70e9, 32_000, [300] * 80, 2.0, settings, threads=8, untrained=untrained
    )


def test_a_job_asks_for_what_its_weights_take():
    on_gpu = asked(device="auto", max_memory={"gpu": "70GiB"})
    both = asked(device="auto", max_memory=LIMITED)
    assert (on_gpu.gpus, both.gpus) == (2, 1)
    assert on_gpu.memory_mb - both.memory_mb == pytest.approx((140e9 - 100 * GIB) / 1e6)
    assert on_gpu.disk_mb == both.disk_mb
    free, limited = asked(), asked(max_memory=LIMITED)
    assert free.gpus == limited.gpus == 0
    spilled = (140e9 - 100 * GIB) / 1e6
    assert free.memory_mb - limited.memory_mb == pytest.approx(spilled)
    assert limited.disk_mb - free.disk_mb == pytest.approx(spilled)
    assert limited.seconds > free.seconds  # weights on disk are read at each pass
    assert asked(device_map=None).memory_mb - free.memory_mb == pytest.approx(140_000)  # packed


def test_an_untrained_twin_is_in_memory_as_a_whole_before_it_is_spread():
    for limits in ({"max_memory": LIMITED}, {"max_memory": LIMITED, "device": "auto"}):
        twin, model = (asked(untrained=untrained, **limits) for untrained in (True, False))
        assert twin.memory_mb - model.memory_mb == pytest.approx((140e9 - 100 * GIB) / 1e6)
        assert (twin.gpus, twin.disk_mb) == (model.gpus, model.disk_mb)
    assert asked(untrained=True, device_map=None) == asked(device_map=None)  # and not twice


def test_each_gpu_and_the_memory_have_their_limit(monkeypatch):
    free = {0: 78 * GIB, 1: 40 * GIB, "cpu": 500 * GIB}
    monkeypatch.setattr("accelerate.utils.get_max_memory", lambda: dict(free))
    assert loading._per_device({}) is None
    assert loading._per_device(LIMITED) == {0: 70 * GIB, 1: 40 * GIB, "cpu": 100 * GIB}
    assert loading._per_device({"gpu": "10GiB"}) == {0: 10 * GIB, 1: 10 * GIB, "cpu": 500 * GIB}
    assert loading._per_device({"cpu": "1GiB"}) == free | {"cpu": GIB}
