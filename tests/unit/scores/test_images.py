"""Results as images: nilearn and nibabel find each value at its place."""

import json

import fmriprep_lab
import nibabel
import numpy as np
import pandas as pd
import pytest
from labs import settings as of_lab
from labs import write_bids, write_folder
from nilearn.image import load_img
from nilearn.maskers import NiftiMasker
from nilearn.surface import load_surf_data
from published import write_published
from study_tables import frame, write

from voxscale.dataset.atlas import write_regions
from voxscale.dataset.kinds import open_dataset
from voxscale.dataset.voxels import read_regions
from voxscale.errors import UserError
from voxscale.scores import write_images

CELL = ["m", 3, "01", 2]


@pytest.fixture
def bids(tmp_path):
    """Images of which the first voxels of the mask were not kept, and one has no score."""
    write_bids(tmp_path / "lab")
    dataset = of_lab(tmp_path / "lab", "bids")
    return dataset, np.arange(3, open_dataset(dataset).geometry("01").n_voxels)


def write_scores(path, voxels, draws=1, layer=3, **columns):
    """Scores of one cell: r is -voxel / 100, without the first voxel."""
    rows = []
    for draw in range(draws):
        r = np.where(voxels == voxels[0], np.nan, -voxels / 100 + draw / 10)
        same = {"model": "m", "layer": layer, "subject": "01", "n_train": 2, "draw": draw}
        made = {"r": r, "r_ceiling": r / 2, "cv_r": r, "p": np.where(voxels % 2, 0.001, 0.9)} | columns
        rows.append(pd.DataFrame(same | {"voxel": voxels} | made))
    write("scores", frame("scores", pd.concat(rows)), path)
    return path


def write_ceiling(path, voxels, ccmax=0.5):
    made = {"voxel": voxels, "ccmax": ccmax, "reliable": voxels != voxels[1], "n_repeats": 3}
    write("ceiling", frame("ceiling", pd.DataFrame({"subject": "01"} | made)), path)
    return path


def export(dataset, folder, kind, scores=(), name="desc-x", subject="01", **files):
    given = {"kind": kind, "subject": subject, "name": name, "cells": [CELL], "fdr": 0.05, "n_layers": 4}
    images = write_images(given | {"dataset": dataset, "config": "abc"}, scores, files, folder)
    return {path.name.split("stat-")[-1]: path for path in images}


def test_scores_of_images_are_at_the_masks_voxels(bids, tmp_path):
    dataset, voxels = bids
    scores, ceiling = write_scores(tmp_path / "s.parquet", voxels), write_ceiling(tmp_path / "c", voxels)
    found = export(dataset, tmp_path / "out", "scores", [scores], "model-m_layer-3_n-2", ceiling=ceiling)
    assert set(found) == {f"{stat}.nii.gz" for stat in ("r", "r2", "p", "significant", "ccnorm")}
    assert found["r.nii.gz"].name == "sub-01_space-T1w_model-m_layer-3_n-2_stat-r.nii.gz"
    mask = nibabel.load(tmp_path / "lab/sub-01/anat/sub-01_mask.nii.gz")
    columns = np.argwhere(np.asanyarray(mask.dataobj))  # the order of the responses
    image = load_img(found["r.nii.gz"])
    r = image.get_fdata()
    assert image.get_data_dtype() == np.float32
    assert [r[tuple(columns[v])] for v in voxels[1:]] == pytest.approx(-voxels[1:] / 100)
    assert np.isfinite(r).sum() == len(voxels) - 1  # neither what was not kept, nor what has no score
    masker = NiftiMasker(mask, reports=False)
    read = np.asarray(masker.fit().transform(found["ccnorm.nii.gz"])).ravel()
    assert read[voxels[2:]] == pytest.approx(-voxels[2:] / 100)  # half of r, a ceiling of a half
    about = json.loads((tmp_path / "out/sub-01_space-T1w_model-m_layer-3_n-2_stat-r2.json").read_text())
    assert about["Units"] == "signed r²"
    assert about["Cells"] == [{"model": "m", "layer": 3, "subject": "01", "n_train": 2}]
    assert about["Files"] == [found["r2.nii.gz"].name]
    assert about["Provenance"]["config"] == "abc"
    significant = load_img(found["significant.nii.gz"]).get_fdata()
    assert {tuple(columns[v]) for v in voxels if v % 2} == set(map(tuple, np.argwhere(significant == 1)))


def test_exported_regions_are_read_again_as_an_atlas(bids, tmp_path):
    dataset, voxels = bids
    table = tmp_path / "01.tsv"
    table.write_text("voxel\troi\n" + "".join(f"{v}\t{'V1' if v < 9 else 'A1'}\n" for v in voxels))
    write = {"kind": "regions", "subject": "01", "name": "desc-regions", "cells": [], "config": ""}
    (image,) = write_images(write | {"dataset": dataset}, [], {"voxels": table}, tmp_path)
    names, mask = image.with_name("sub-01_space-T1w_desc-regions_dseg.tsv"), "sub-01/anat/sub-01_mask.nii.gz"
    write_regions([image], tmp_path / "again.tsv", names, tmp_path / "lab" / mask)
    assert {v: name.removesuffix("_right") for v, name in read_regions(tmp_path / "again.tsv").items()} == {
        v: "V1" if v < 9 else "A1" for v in voxels
    }


def test_several_draws_are_averaged_and_have_no_p(bids, tmp_path):
    dataset, voxels = bids
    scores = write_scores(tmp_path / "s.parquet", voxels, draws=3)
    found = export(dataset, tmp_path, "scores", [scores], ceiling=write_ceiling(tmp_path / "c", voxels))
    assert set(found) == {f"{stat}.nii.gz" for stat in ("r", "r2", "ccnorm")}
    known = load_img(found["r.nii.gz"]).get_fdata()
    assert np.nanmax(known) == pytest.approx(-voxels[1] / 100 + 0.1)


def test_the_best_layer_is_chosen_by_the_training_stories(bids, tmp_path):
    dataset, voxels = bids
    early = write_scores(tmp_path / "a", voxels, layer=1, r=0.1, cv_r=np.where(voxels < 9, 0.9, 0.1))
    late = write_scores(tmp_path / "b", voxels, layer=3, r=0.7, cv_r=0.5)
    given = {"subject": "01", "name": "n", "kind": "layers", "n_layers": 4, "fdr": 0.05, "config": ""}
    given |= {"cells": [["m", 1, "01", 2], ["m", 3, "01", 2]], "dataset": dataset}
    layer, depth, r = (
        nibabel.load(path).get_fdata() for path in write_images(given, [early, late], {}, tmp_path)
    )
    inside = open_dataset(dataset).geometry("01").inside
    np.testing.assert_array_equal(layer[inside], [np.nan] * 3 + [1 if v < 9 else 3 for v in voxels])
    np.testing.assert_allclose(depth, layer / 4)
    np.testing.assert_allclose(r[inside][3:], np.where(voxels < 9, 0.1, 0.7))


def test_arrays_are_on_the_vertices_of_their_voxel_table(tmp_path):
    write_folder(tmp_path / "lab")
    table = tmp_path / "anna.tsv"
    rows = ["left\t7\tSTG", "lh\t7\tSTG", "right\t10241\tIFG", "R\t7\t", "\t\t"]
    table.write_text("voxel\themisphere\tvertex\troi\n" + "".join(f"{v}\t{r}\n" for v, r in enumerate(rows)))
    dataset = of_lab(tmp_path / "lab", "folder", voxels=str(tmp_path / "{subject}.tsv"))
    columns = {"comparison": "c", "subject": "anna", "voxel": range(5), "hi": np.nan}
    values = frame("comparison", pd.DataFrame(columns | {"difference": [0.1, 0.3, -0.5, 0.7, 0.9]}))
    write("comparison", pd.concat([values, values.assign(subject="bob", difference=9)]), tmp_path / "c")
    found = export(dataset, tmp_path / "out", "differences", subject="anna", comparison=tmp_path / "c")
    left, right = (load_surf_data(found[f"difference_hemi-{side}.func.gii"]) for side in "LR")
    assert (len(left), left[7], np.isfinite(left).sum()) == (10242, pytest.approx(0.2), 1)  # the mean of two
    assert [right[7], right[10241]] == pytest.approx([0.7, -0.5])
    assert "hi_hemi-L.func.gii" not in found  # without any value
    export(dataset, tmp_path / "out", "regions", name="desc-regions", subject="anna", voxels=table)
    stem = tmp_path / "out/sub-anna_space-fsaverage5_desc-regions_dseg"
    label = nibabel.load(f"{stem}_hemi-R.label.gii")
    key = label.darrays[0].data
    assert label.labeltable.get_labels_as_dict()[key[10241]] == "IFG"
    assert (key > 0).sum() == 1
    assert stem.with_suffix(".tsv").read_text() == "index\tname\n1\tIFG\n2\tSTG\n"
    table.write_text("voxel\themisphere\tvertex\n0\tleft\t7\n")
    with pytest.raises(UserError, match=r"anna\.tsv: names no region; add a column roi"):
        export(dataset, tmp_path / "out", "regions", subject="anna", voxels=table)


@pytest.mark.parametrize("form", fmriprep_lab.SPACES)
def test_fmriprep_s_images_are_in_its_own_space(form, tmp_path):
    fmriprep_lab.write_fmriprep(tmp_path / "lab", form)
    dataset = fmriprep_lab.settings(tmp_path / "lab", form)
    places = open_dataset(dataset).geometry("01").n_voxels
    write_ceiling(tmp_path / "c", np.arange(places), ccmax=np.arange(places) / 1000)
    found = export(dataset, tmp_path, "ceilings", ceiling=tmp_path / "c")
    assert {path.name.split("_")[1] for path in found.values()} == {f"space-{fmriprep_lab.SPACES[form]}"}
    if form == "surface":
        read = np.concatenate([load_surf_data(found[f"ccmax_hemi-{side}.func.gii"]) for side in "LR"])
        assert places == 2 * fmriprep_lab.N_VERTICES
    elif form == "grayordinates":
        image = nibabel.load(found["ccmax.dscalar.nii"])
        assert image.header.get_axis(1) == fmriprep_lab.brain_axis()
        read = image.get_fdata()[0]
    else:
        image = load_img(found["ccmax.nii.gz"])
        masks = [*map(nibabel.load, (tmp_path / "lab/sub-01/func").glob("*desc-brain_mask.nii.gz"))]
        np.testing.assert_array_equal(image.affine, masks[0].affine)
        read = image.get_fdata()[np.all([np.asanyarray(mask.dataobj) for mask in masks], 0)]
    np.testing.assert_allclose(read, np.arange(places) / 1000, rtol=1e-6)


def test_ds003020_is_in_the_space_of_its_pycortex_mask(tmp_path):
    write_published(tmp_path / "data", {"wheretheressmoke": 12, "souls": 12}, ["UTS03"], n_voxels=4)
    inside, affine = np.zeros((3, 4, 2), np.uint8), np.diag([-2.0, 2, 3, 1])
    kept = [(2, 0, 0), (0, 3, 0), (1, 3, 0), (0, 1, 1)]  # as pycortex counts: z first, x last
    inside[tuple(np.transpose(kept))] = 1
    dataset = {"kind": "ds003020", "root": str(tmp_path / "data"), "subjects": ["UTS03"]}
    dataset |= {"test_stories": ["wheretheressmoke"], "training_stories": ["souls"]}
    rows = {"subject": "UTS03", "voxel": range(4), "ccmax": [0.1, 0.2, 0.3, 0.4], "reliable": True}
    write("ceiling", frame("ceiling", pd.DataFrame(rows)), tmp_path / "c")
    with pytest.raises(UserError, match=r"UTS03_auto: no mask has the 4 voxels .*fetch part pycortex-UTS03"):
        export(dataset, tmp_path, "ceilings", subject="UTS03", ceiling=tmp_path / "c")
    folder = tmp_path / "data/derivative/pycortex-db/UTS03/transforms/UTS03_auto"
    folder.mkdir(parents=True)
    nibabel.save(nibabel.Nifti1Image(inside, affine), folder / "mask_thick.nii.gz")
    found = export(dataset, tmp_path, "ceilings", subject="UTS03", ceiling=tmp_path / "c")
    image = load_img(found["ccmax.nii.gz"])
    np.testing.assert_array_equal(image.affine, affine)
    assert [image.get_fdata()[place] for place in kept] == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_arrays_without_places_are_refused(tmp_path, bids):
    write_folder(tmp_path / "arrays")
    arrays, ceiling = of_lab(tmp_path / "arrays", "folder"), write_ceiling(tmp_path / "c", bids[1])
    with pytest.raises(UserError, match=r"dataset\.voxels: .*of anna are arrays; give a voxel table"):
        export(arrays, tmp_path / "out", "ceilings", subject="anna", ceiling=ceiling)


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    fmriprep_lab.write_fmriprep(tmp_path / "lab", "surface")
    dataset = fmriprep_lab.settings(tmp_path / "lab", "surface")
    ceiling = write_ceiling(tmp_path / "c", np.arange(9))
    export(dataset, tmp_path / "out", "ceilings", ceiling=ceiling)
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert before

    def to_bytes(image):
        if "Right" in image.meta["AnatomicalStructurePrimary"]:
            raise OSError(28, "No space left on device")
        return b""

    monkeypatch.setattr(nibabel.GiftiImage, "to_bytes", to_bytes)
    with pytest.raises(OSError, match="No space"):
        export(dataset, tmp_path / "out", "ceilings", ceiling=ceiling)
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
