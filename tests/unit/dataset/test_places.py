"""Places of images' columns on fsaverage5: known vertices come back through each way to find them."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from voxscale.cortex import N_VERTICES, mni152_cortex, read_fsaverage5
from voxscale.dataset.geometry import Grayordinates, Surface, Volume
from voxscale.dataset.places import find_surfaces, locate, needed_surfaces
from voxscale.errors import UserError

SHIFT = np.array([3.0, -20.0, 11.0])  # of the subject's brain
ORDER = np.random.default_rng(0).permutation(N_VERTICES)[:3000]  # its native vertices, of fsaverage5
RIGHT = ORDER[::-1]  # those of the right hemisphere
LESS = np.arange(0, 3000, 7)  # native vertices near which those of fsLR lie


def write_surface(path, points):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = nibabel.gifti.GiftiDataArray(points.astype(np.float32), "NIFTI_INTENT_POINTSET")
    nibabel.save(nibabel.gifti.GiftiImage(darrays=[array]), path)


@pytest.fixture(scope="module")
def surfaces(tmp_path_factory):
    """A subject's, whose folds and registration are known."""
    folder = tmp_path_factory.mktemp("sub-01")
    for side, name in (("left", "L"), ("right", "R")):
        own = ORDER if side == "left" else RIGHT
        native = read_fsaverage5("pial", side)[0][own] + SHIFT
        sphere = read_fsaverage5("sphere", side)[0][own] * 1.5
        write_surface(folder / f"anat/sub-01_hemi-{name}_midthickness.surf.gii", native)
        write_surface(folder / f"anat/sub-01_hemi-{name}_space-fsaverage_desc-reg_sphere.surf.gii", sphere)
        write_surface(folder / f"anat/sub-01_hemi-{name}_space-fsLR_desc-reg_sphere.surf.gii", -sphere)
        fs_lr = folder / f"anat/sub-01_hemi-{name}_space-fsLR_den-32k_midthickness.surf.gii"
        write_surface(fs_lr, native[LESS])
    return folder


def chosen(folder, image, space):
    return find_surfaces(folder, needed_surfaces(Path(image), space))


def test_vertices_of_finer_fsaverages_are_those_that_fsaverage5_has():
    sides, vertices = locate(Surface("fsaverage6", 40962, 40962), {})
    assert vertices[: N_VERTICES + 1].tolist() == [*range(N_VERTICES), -1]
    assert vertices[40962] == 0
    assert (sides[40961], sides[40962]) == ("left", "right")


def test_native_vertices_lie_where_their_sphere_is_registered(surfaces):
    sides, vertices = locate(Surface("fsnative", 3000, 3000), chosen(surfaces, "_bold.func.gii", "fsnative"))
    assert vertices.tolist() == [*ORDER, *RIGHT]
    assert sides[2999:3001].tolist() == ["left", "right"]
    with pytest.raises(UserError, match=r"reg_sphere.surf.gii: has 3000 vertices, .* have 2999"):
        locate(Surface("fsnative", 2999, 3000), chosen(surfaces, "_bold.func.gii", "fsnative"))


def test_grayordinates_lie_by_the_subject_s_surfaces_and_those_below_nowhere(surfaces):
    axis = nibabel.cifti2.BrainModelAxis
    right = axis.from_surface([5, 1, 2], len(LESS), "CortexRight")
    whole = right + axis.from_mask(np.ones((1, 1, 2), bool), "ThalamusLeft", np.eye(4))
    found = chosen(surfaces, "den-91k_bold.dtseries.nii", "fsLR")
    sides, vertices = locate(Grayordinates("fsLR", whole), found)
    assert sides.tolist() == ["right"] * 3 + [""] * 2
    assert vertices.tolist() == [*RIGHT[LESS[[5, 1, 2]]], -1, -1]


@pytest.mark.parametrize("space", ["MNI152NLin6Asym", "T1w"])
def test_voxels_lie_at_the_nearest_vertex_or_nowhere(surfaces, space):
    native = space == "T1w"
    cortex = read_fsaverage5("pial", "right")[0] + SHIFT if native else mni152_cortex("right")
    affine = np.diag([1.0, 1, 1, 1])
    affine[:3, 3] = cortex[ORDER[10]]
    inside = np.zeros((40, 2, 60), bool)
    inside[[0, 39], 0, [0, 59]] = True  # at the vertex, and far outside of the head
    sides, vertices = locate(Volume(space, inside, affine), chosen(surfaces, "_bold.nii.gz", space))
    assert (sides[0], vertices[0]) == ("right", ORDER[10])
    assert (sides[1], vertices[1]) == ("", -1)


def test_other_spaces_are_not_placed():
    assert needed_surfaces(Path("_bold.nii.gz"), "MNIInfant") is None
    assert needed_surfaces(Path("_bold.nii.gz"), "") is None
    assert needed_surfaces(Path("_bold.func.gii"), "onavg") is None


def test_a_surface_that_is_missing_places_nothing(surfaces):
    assert chosen(surfaces, "den-170k_bold.dtseries.nii", "fsLR") is None  # of 59k vertices
    assert chosen(surfaces, "den-32k_bold.func.gii", "fsLR").keys() == {"native", "sphere", "fsLR"}
