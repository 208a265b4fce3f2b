"""A byte that changed on disk, in a number: reported with the file's name, never used."""

import h5py
import numpy as np
import pytest

from voxscale.dataset.responses import RESPONSES_FORMAT, open_subject
from voxscale.encoding.moments import MomentsFile
from voxscale.errors import UserError
from voxscale.features import store as feature_store
from voxscale.io import tables
from voxscale.io.hdf5 import checked

VALUES = np.random.default_rng(0).normal(size=(70, 40)).astype(np.float32)


def responses(folder):
    path = folder / "UTS01.h5"
    with h5py.File(path, "w") as file:
        file["voxels"] = np.arange(70)
        story = file.create_group("story")
        story.create_dataset("data", data=VALUES, **checked(VALUES.shape, (64, 40)))
        story.attrs["n_trs"], story.attrs["n_repeats"] = 40, 0
        file.attrs.update(format=RESPONSES_FORMAT, stories='["story"]', test_stories="[]", provenance="{}")
    return path, lambda: open_subject(path).read("story", slice(3, 6)), VALUES[3:6]


def features(folder):
    path, index = folder / "story.h5", folder / "opt.h5"
    feature_store.write_features(path, {4: VALUES}, {})
    feature_store.write_feature_index(index, {"story": path})
    return path, lambda: feature_store.read_features(index, "story", 4), VALUES


def moments(folder):
    path, values = folder / "cell.h5", VALUES.reshape(1, 14, 5, 40)
    with h5py.File(path, "w") as file:
        file.create_dataset("moments", data=values, **checked(values.shape, (1, 14, 5, 4096)))
        file["voxel"], file["n"], file["start_tr"] = np.arange(40), np.full(14, 10), np.arange(14) * 10
        file.create_dataset("story", data=["story"] * 14, dtype=h5py.string_dtype())
    return path, lambda: next(MomentsFile(path).read(0, np.ones(14, bool)))[1], values[0]


def flip(path, where):
    with path.open("r+b") as file:
        file.seek(where)
        byte = file.read(1)[0]
        file.seek(where)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("make", [responses, features, moments])
def test_a_changed_byte_of_an_array_is_reported(make, tmp_path):
    path, read, values = make(tmp_path)
    np.testing.assert_array_equal(read(), values)
    raw = values[..., :1].tobytes()[:4]
    flip(path, path.read_bytes().index(raw) + 1)
    with pytest.raises(UserError, match=rf"{path.name}: damaged .*delete it.*run again"):
        read()


def test_a_changed_byte_of_a_table_is_reported(tmp_path):
    path = tmp_path / "scores.parquet"
    schema = tables.SCHEMAS["voxels"]
    drawn = np.random.default_rng(1).integers(0, 1 << 16, 500)
    columns = {f.name: [str(n) if "string" in str(f.type) else n for n in drawn.tolist()] for f in schema}
    for field in schema:
        if str(field.type) == "bool":
            columns[field.name] = [bool(n % 2) for n in drawn]
    tables.write("voxels", columns, path)
    assert tables.read("voxels", path).num_rows == 500
    found = tables.pq.read_metadata(path).row_group(0).column(0)
    flip(path, found.data_page_offset + found.total_compressed_size // 2)
    with pytest.raises(UserError, match=r"scores\.parquet: damaged"):
        tables.read("voxels", path)


@pytest.mark.parametrize("make", [responses, features, moments])
def test_bytes_changed_anywhere_are_reported_or_change_nothing(make, tmp_path):
    path, read, values = make(tmp_path)
    whole = path.read_bytes()
    for where in range(0, len(whole) - 300, 500):
        path.write_bytes(whole[:where] + b"noise " * 50 + whole[where + 300 :])
        found, said = None, ""
        try:
            found = read()
        except UserError as error:
            said = str(error)
        assert path.name in said or np.array_equal(found, values)
