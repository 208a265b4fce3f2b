"""Values of response columns as images in the data's own space, read again by nibabel."""

import nibabel
import numpy as np
import pytest
from labs import SHAPE, settings, write_bids

from voxscale.dataset.geometry import Grayordinates, Surface
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
