"""Regions from atlas files of every kind: labels lie where they were put, sides have one name."""

import nibabel
import numpy as np
import pytest

from voxscale.cli import main
from voxscale.dataset.atlas import _region, write_regions
from voxscale.dataset.voxels import kept_voxels, read_voxels
from voxscale.errors import UserError

GRID = np.diag([2.0, 2, 2, 1])
GRID[:3, 3] = -8  # the middle of the brain is between voxels 3 and 4
NAMES = "index\tname\n1\tLH_Vis_1\n2\tRH_Vis_1\n3\tHeschl's gyrus\n"


def image(path, values, affine=GRID):
    nibabel.Nifti1Image(values.astype(np.uint8), affine).to_filename(path)
    return path


@pytest.fixture
def volume(tmp_path):
    """A mask of 8 voxels a side, and an atlas on a finer grid: three regions, one on both sides."""
    inside, labels = np.zeros((8, 8, 8)), np.zeros((16, 16, 16))
    inside[2:6, 3, 3:5] = 1
    labels[:8, :, 6:8], labels[8:, :, 6:8], labels[2:14, :, 8:10] = 1, 2, 3
    fine = np.diag([1.0, 1, 1, 1])
    fine[:3, 3] = -8
    (tmp_path / "names.tsv").write_text(NAMES)
    return image(tmp_path / "atlas.nii.gz", labels, fine), image(tmp_path / "mask.nii.gz", inside)


def regions(path):
    return [row["roi"] for row in read_voxels(path).values()]


def test_a_voxel_of_a_mask_has_the_label_at_its_centre(volume, tmp_path):
    atlas, mask = volume
    counts = write_regions([atlas], tmp_path / "voxels.tsv", tmp_path / "names.tsv", mask)
    assert counts == {
        f"{name}_{side}": 2 for name in ("Heschl's_gyrus", "Vis_1") for side in ("left", "right")
    }
    both = ["Vis_1_left", "Heschl's_gyrus_left"] * 2 + ["Vis_1_right", "Heschl's_gyrus_right"] * 2
    assert regions(tmp_path / "voxels.tsv") == both
    assert list(kept_voxels(tmp_path / "voxels.tsv", 8)) == list(range(8))
    inside = np.asanyarray(nibabel.load(mask).dataobj).copy()
    inside[2] = 0
    image(tmp_path / "mask2.nii.gz", inside)
    write_regions([atlas], tmp_path / "voxels.tsv", tmp_path / "names.tsv", tmp_path / "mask*.nii.gz")
    assert regions(tmp_path / "voxels.tsv") == both[2:]


def gifti(path, keys, names, structure=None):
    table = nibabel.gifti.GiftiLabelTable()
    for key, name in enumerate(names):
        label = nibabel.gifti.GiftiLabel(key)
        label.label = name
        table.labels.append(label)
    array = nibabel.gifti.GiftiDataArray(np.array(keys, np.int32), intent="NIFTI_INTENT_LABEL")
    made = nibabel.gifti.GiftiImage(darrays=[array], labeltable=table)
    if structure:
        made.meta["AnatomicalStructurePrimary"] = structure
    nibabel.save(made, path)
    return path


def test_vertices_of_both_hemispheres_are_voxels(tmp_path):
    left = gifti(tmp_path / "any.label.gii", [0, 1, 2], ["???", "L_V1_ROI", "L_A1_ROI"], "CortexLeft")
    right = gifti(tmp_path / "sub_hemi-R_atlas.label.gii", [1, 1, 0], ["???", "R_V1_ROI"])
    write_regions([right, left], tmp_path / "v.tsv")
    assert regions(tmp_path / "v.tsv") == [
        None,
        "V1_ROI_left",
        "A1_ROI_left",
        "V1_ROI_right",
        "V1_ROI_right",
        None,
    ]
    assert [row["hemisphere"] for row in read_voxels(tmp_path / "v.tsv").values()] == ["left"] * 3 + [
        "right"
    ] * 3


def test_the_vertices_of_a_voxel_table_are_looked_up_and_its_columns_kept(tmp_path):
    colours = np.array([[0, 0, 0, 0, 0], [20, 30, 40, 0, 0]])
    labels = np.array([0, 1, 1, 0, 1])
    nibabel.freesurfer.write_annot(
        tmp_path / "lh.aparc.annot", labels, colours, ["unknown", "bankssts"], True
    )
    (tmp_path / "own.tsv").write_text(
        "voxel\themisphere\tvertex\troi\tkeep\n4\tleft\t2\told\tyes\n7\tleft\t3\told\tno\n9\tright\t2\told\tyes\n"
    )
    write_regions([tmp_path / "lh.aparc.annot"], tmp_path / "v.tsv", voxels=tmp_path / "own.tsv")
    found = read_voxels(tmp_path / "v.tsv")
    assert {voxel: row["roi"] for voxel, row in found.items()} == {4: "bankssts_left", 7: None, 9: None}
    assert [row["keep"] for row in found.values()] == [True, False, True]


def test_grayordinates_are_voxels(tmp_path):
    side = {"left": np.array([0, 2]), "right": np.array([1, 2])}
    places = nibabel.cifti2.BrainModelAxis.from_surface(side["left"], 3, "CortexLeft")
    places += nibabel.cifti2.BrainModelAxis.from_surface(side["right"], 3, "CortexRight")
    table = {0: ("???", (0, 0, 0, 0)), 1: ("V1", (1, 0, 0, 1)), 2: ("7Networks_RH_Default_3", (0, 1, 0, 1))}
    axes = nibabel.cifti2.LabelAxis(["atlas"], table), places
    made = nibabel.Cifti2Image(np.array([[1, 0, 1, 2]], np.float32), axes)
    made.to_filename(tmp_path / "atlas.dlabel.nii")
    write_regions([tmp_path / "atlas.dlabel.nii"], tmp_path / "v.tsv")
    assert regions(tmp_path / "v.tsv") == ["V1_left", None, "V1_right", "7Networks_Default_3_right"]


def test_a_colour_table_of_freesurfer_names_labels(volume, tmp_path):
    (tmp_path / "lut.txt").write_text(
        "# names\n0 Unknown 0 0 0 0\n1 Left-Vis 1 1 1 0\n2 Right-Vis 1 1 1 0\n3 Stem 1 1 1 0\n"
    )
    assert "Vis_left" in write_regions([volume[0]], tmp_path / "v.tsv", tmp_path / "lut.txt", volume[1])


def test_mistakes_are_one_line(volume, tmp_path, capsys):
    atlas, mask = volume
    names, out = tmp_path / "names.tsv", tmp_path / "v.tsv"
    with pytest.raises(UserError, match="needs --mask"):
        write_regions([atlas], out, names)
    with pytest.raises(UserError, match=r"needs --names"):
        write_regions([atlas], out, mask=mask)
    far = image(tmp_path / "far.nii.gz", np.ones((3, 3, 3)), np.diag([1.0, 1, 1, 1]) + 500 * np.eye(4)[:, 3:])
    with pytest.raises(UserError, match="both in one space"):
        write_regions([far], out, names, mask)
    (tmp_path / "few.tsv").write_text("index\tname\n1\tone\n")
    with pytest.raises(UserError, match=r"few\.tsv: names no label 2"):
        write_regions([atlas], out, tmp_path / "few.tsv", mask)
    nameless = gifti(tmp_path / "atlas.label.gii", [1], ["???", "V1"])
    with pytest.raises(UserError, match="does not say its hemisphere"):
        write_regions([nameless], out)
    with pytest.raises(SystemExit):
        main(
            [
                "regions",
                str(tmp_path / "none.nii"),
                "--output",
                str(out),
                "--names",
                str(names),
                "--mask",
                str(mask),
            ]
        )
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ERROR regions: ")
    assert not out.exists()


@pytest.mark.parametrize(
    "name", ["Background+FreeSurfer_Defined_Medial_Wall", "ctx-lh-unknown", "L_???", "Medial wall", "lh"]
)
def test_what_is_outside_of_all_regions_is_not_one(name):
    assert _region(name)[0] is None


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("7Networks_RH_Vis_1", "7Networks_Vis_1"),
        ("GapMap Frontal-I (Frontal lobe) right", "GapMap_Frontal-I_(Frontal_lobe)"),
        ("Area 44 (R)", "Area_44"),
        ("Precentral gyrus, right", "Precentral_gyrus"),
    ],
)
def test_a_side_is_recognised_however_it_is_written(name, bare):
    assert _region(name) == (bare, "right")
