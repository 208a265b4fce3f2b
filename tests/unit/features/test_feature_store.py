"""The feature store gives back what was put in, and never anything else."""

import shutil

import h5py
import numpy as np
import pytest

from voxscale.errors import UserError
from voxscale.features import store as store


@pytest.fixture
def made(tmp_path):
    rng = np.random.default_rng(0)
    data = {s: {layer: rng.normal(size=(30, 4)).astype("f4") for layer in (0, 1, 10)} for s in ("a", "b")}
    files = {}
    for story, layers in data.items():
        files[story] = store.feature_path(tmp_path / "stories", "opt", story, store.content_key(story=story))
        store.write_features(files[story], layers, {"bits_per_character": 1.5, "model": "opt"})
    index = tmp_path / "opt.h5"
    store.write_feature_index(index, files)
    return index, data, files


def test_round_trip(made):
    index, data, _ = made
    assert sorted(store.feature_files(index)) == ["a", "b"]
    layers, attrs = store.stored_names(store.feature_files(index)["a"])
    assert layers == {0, 1, 10}
    assert {"bits_per_character", "format", "provenance"} <= attrs
    assert store.feature_attrs(index, "b")["bits_per_character"] == 1.5
    for story, layers in data.items():
        for layer, values in layers.items():
            np.testing.assert_array_equal(store.read_features(index, story, layer), values)


def test_plain_hdf5_follows_the_links_and_the_folder_can_move(made, tmp_path):
    index, data, _ = made
    with h5py.File(index) as file:
        np.testing.assert_array_equal(file["a/1"][:], data["a"][1])
    shutil.copytree(tmp_path, tmp_path / "elsewhere", ignore=shutil.ignore_patterns("elsewhere"))
    np.testing.assert_array_equal(store.read_features(tmp_path / "elsewhere/opt.h5", "b", 0), data["b"][0])


def test_half_precision_on_disk_reads_as_float32(tmp_path):
    values = np.random.default_rng(1).normal(size=(9, 5)).astype("f4")
    store.write_features(tmp_path / "x.h5", {0: values}, {}, "float16")
    store.write_feature_index(tmp_path / "i.h5", {"x": tmp_path / "x.h5"})
    out = store.read_features(tmp_path / "i.h5", "x", 0)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, values.astype("f2").astype("f4"))
    with pytest.raises(UserError, match="overflows float16"):
        store.write_features(tmp_path / "y.h5", {0: values * 1e6}, {}, "float16")
    with pytest.raises(UserError, match="not finite"):
        store.write_features(tmp_path / "y.h5", {0: values * np.nan}, {})
    assert not (tmp_path / "y.h5").exists()


def test_same_content_same_bytes(tmp_path):
    values = np.ones((3, 2), "f4")
    for name in ("1", "2"):
        store.write_features(tmp_path / name, {0: values, 1: values}, {"b": 1.0, "a": "x"})
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_broken_files_are_named(made, tmp_path):
    index, _, files = made
    with pytest.raises(UserError, match=r"nothing\.h5: no such file"):
        store.read_features(tmp_path / "nothing.h5", "a", 0)
    with pytest.raises(UserError, match="has no story c"):
        store.read_features(index, "c", 0)
    with pytest.raises(UserError, match="has no layer 7; it holds 0, 1, 10"):
        store.read_features(index, "a", 7)
    # The rule runs again only if the index is gone, too.
    remedy = rf"delete it and {index}, run snakemake {index} .*, then run again"
    whole = files["a"].read_bytes()
    for content, says in (
        (whole[:-100], "damaged"),
        (b"<html>403</html>", "an HTML page"),
        (b"", "an empty file"),
    ):
        files["a"].write_bytes(content)
        assert store.stored_names(files["a"]) == (set(), set())
        with pytest.raises(UserError, match=f"{files['a'].name}.*{says}.*{remedy}"):
            store.read_features(index, "a", 0)
    with h5py.File(files["a"], "w") as other:
        other["0"] = np.zeros((30, 4))
    with pytest.raises(UserError, match=f"not a feature file.*{remedy}"):
        store.read_features(index, "a", 0)
    files["a"].unlink()
    with pytest.raises(
        UserError, match=f"{files['a'].name}: no such file; delete {index}, run snakemake {index} "
    ):
        store.read_features(index, "a", 0)
