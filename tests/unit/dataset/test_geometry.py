"""Values of response columns as images in the data's own space, read again by nibabel."""

import nibabel
import numpy as np
import pytest
from labs import SHAPE, settings, write_bids

from voxscale.dataset.geometry import Grayordinates, Placed, Surface, Volume
from voxscale.dataset.kinds import open_dataset


def test_images_have_their_values_in_the_masks_voxels(tmp_path):
    write_bids(tmp_path / "lab")
    geometry = open_dataset(settings(tmp_path / "lab", "bids")).geometry("01")
    (path,) = geometry.write(np.arange(geometry.n_voxels), tmp_path / "r")
    image = nibabel.load(path)
    assert path.name == "r.nii.gz"
    assert image.shape == SHAPE
    np.testing.assert_array_equal(image.get_fdata()[geometry.inside], np.arange(geometry.n_voxels))
    assert np.isnan(image.get_fdata()[~geometry.inside]).all()
    np.testing.assert_array_equal(
        geometry.centres[0], image.affine[:3] @ [*np.argwhere(geometry.inside)[0], 1]
    )
    with pytest.raises(ValueError, match="values of 3 voxels"):
        geometry.write(np.zeros(3), tmp_path / "r")


def test_surfaces_have_left_before_right(tmp_path):
    paths = Surface("fsaverage5", 4, 3).write(np.arange(14).reshape(2, 7), tmp_path / "r", ["a", "b"])
    left, right = map(nibabel.load, paths)
    assert [path.name for path in paths] == ["r_hemi-L.func.gii", "r_hemi-R.func.gii"]
    assert [array.data.tolist() for array in left.darrays] == [[0, 1, 2, 3], [7, 8, 9, 10]]
    assert [array.data.tolist() for array in right.darrays] == [[4, 5, 6], [11, 12, 13]]
    assert right.meta["AnatomicalStructurePrimary"] == "CortexRight"
    assert left.darrays[1].meta["Name"] == "b"


def test_grayordinates_keep_their_axis(tmp_path):
    left = nibabel.cifti2.BrainModelAxis.from_surface([0, 2, 3], 5, "CortexLeft")
    axis = left + nibabel.cifti2.BrainModelAxis.from_mask(np.ones((1, 2, 1), bool), "ThalamusLeft", np.eye(4))
    (path,) = Grayordinates("fsLR", axis).write(np.arange(5), tmp_path / "r", ["score"])
    image = nibabel.load(path)
    assert path.name == "r.dscalar.nii"
    assert image.get_fdata().tolist() == [[0, 1, 2, 3, 4]]
    assert image.header.get_axis(1) == axis
    assert image.header.get_axis(0).name.tolist() == ["score"]


def test_the_first_axis_may_be_the_fastest(tmp_path):
    inside = np.zeros((2, 3, 2), bool)
    inside[1, 0, 0] = inside[0, 2, 0] = inside[0, 1, 1] = True
    volume = Volume("", inside, np.diag([2.0, 2, 2, 1]), order="F")
    assert volume.indexes.tolist() == [[1, 0, 0], [0, 2, 0], [0, 1, 1]]
    assert volume.centres[0].tolist() == [2, 0, 0]
    (path,) = volume.write([5, 6, 7], tmp_path / "r")
    values = nibabel.load(path).get_fdata()
    assert [values[1, 0, 0], values[0, 2, 0], values[0, 1, 1]] == [5, 6, 7]


def test_labels_have_their_names(tmp_path):
    names = {1: "A1", 2: "V1"}
    left, right = map(nibabel.load, Surface("", 2, 1).write([2, 0, 1], tmp_path / "r", labels=names))
    assert [left.darrays[0].data.tolist(), right.darrays[0].data.tolist()] == [[2, 0], [1]]
    assert right.labeltable.get_labels_as_dict() == {0: "none", **names}
    axis = nibabel.cifti2.BrainModelAxis.from_surface([0, 2], 5, "CortexLeft")
    (path,) = Grayordinates("", axis).write([2, 0], tmp_path / "r", labels=names)
    assert path.name == "r.dlabel.nii"
    found = nibabel.load(path).header.get_axis(0).label[0]
    assert [found[key][0] for key in (0, 1, 2)] == ["none", "A1", "V1"]
    assert found[1][1] != found[2][1]
    (path,) = Volume("", np.ones((3, 1, 1), bool), np.eye(4)).write([2, 0, 1], tmp_path / "r", labels=names)
    assert nibabel.load(path).get_data_dtype() == np.int16
    placed = Placed("fsaverage5", np.array(["left", "left", None]), np.array([4, 4, np.nan]))
    path, _ = placed.write([2, 1, 1], tmp_path / "p", labels=names)
    data = nibabel.load(path).darrays[0].data
    assert (data[4], data.sum()) == (2, 2)  # the first of a vertex; a label has no mean


def test_the_same_vertex_of_the_other_side_is_another_place():
    vertex, sides = (
        np.array([3.0, 7, np.nan]),
        np.array([["left", "right", None], ["L", "rh", "left"]], object),
    )
    first, same = (Placed("fsaverage5", side, vertex) for side in sides)
    assert same.same_as(first)
    assert not Placed("fsaverage5", np.array(["left", "left", None], object), vertex).same_as(first)


def test_volumes_of_one_grid_may_have_other_voxels():
    inside = np.ones((2, 3, 2), bool)
    first, fewer = Volume("MNI", inside, np.eye(4)), Volume("MNI", inside & (np.arange(2) > 0), np.eye(4))
    assert fewer.same_grid(first)
    assert not fewer.same_as(first)
    assert not Volume("MNI", inside, 2 * np.eye(4)).same_grid(first)
    assert not Surface("fsaverage5", 6, 6).same_grid(first)
