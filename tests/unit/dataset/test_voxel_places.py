"""Regions and places of voxels: of a made-up cortex, and of pycortex's own subject where it is there."""

import json
import shutil
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
from published import write_kept, write_published

from voxscale.cortex import places, pycortex, read_fsaverage5
from voxscale.dataset.kinds import open_dataset
from voxscale.dataset.places import write_voxel_places
from voxscale.dataset.preparation import prepare_responses
from voxscale.dataset.voxels import read_regions, read_voxels
from voxscale.errors import UserError

SHAPE = (4, 6, 5)  # x, y, z


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_cortex_is_laid_over_fsaverage(side):
    target = read_fsaverage5("pial", side)[0]
    random = np.random.default_rng(0)
    turn = np.eye(3) + random.normal(0, 0.08, (3, 3))  # another size, a little turned and sheared
    source = target @ turn * [1.1, 0.9, 1.05] + [5, -20, 12]
    chosen = random.permutation(len(target))
    found = places.nearest_vertices(source[chosen], target)
    off = np.linalg.norm(target[found] - target[chosen], axis=1)
    assert np.median(off) < 1
    assert np.percentile(off, 95) < 5  # mm


class Cortex:
    """As much of pycortex as is asked for: two sheets, left and right of each other, a vertex a voxel."""

    def __init__(self, root, kept):
        grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1).reshape(-1, 3)
        self.left = grid[grid[:, 0] < 2] * 3.0 - 10
        self.right = grid[grid[:, 0] >= 2] * 3.0 - 10
        self.mask = np.zeros(SHAPE, bool)
        self.mask[tuple(np.array(kept).T)] = True
        folder = root / "UTS01/transforms/UTS01_auto"
        folder.mkdir(parents=True)
        for kind, mask in (("cortical", np.ones(SHAPE)), ("thick", self.mask)):
            nibabel.save(
                nibabel.Nifti1Image(mask.astype(np.uint8), np.eye(4)), folder / f"mask_{kind}.nii.gz"
            )
        self.folder = folder
        self.db = SimpleNamespace(get_mask=self.get_mask, get_xfm=self.get_xfm, get_surf=self.get_surf)

    def get_mask(self, subject, transform, kind):
        return nibabel.load(self.folder / f"mask_{kind}.nii.gz").get_fdata().T != 0

    def get_xfm(self, *_):
        return SimpleNamespace(inv=lambda points: points * 3.0 - 10)

    def get_surf(self, subject, kind, hemisphere):
        return (self.left if hemisphere == "lh" else self.right), None

    def get_roi_verts(self, subject):
        points = np.concatenate([self.left, self.right])
        back = np.flatnonzero(points[:, 1] < -5)  # y of 0 and 1
        return {'"visual"': back, "V1": back[points[back, 1] < -8], "empty": np.array([])}


@pytest.fixture
def cortex(tmp_path, monkeypatch):
    made = Cortex(tmp_path, [(0, 0, 0), (3, 5, 4), (1, 1, 2), (3, 0, 0), (2, 4, 0)])
    monkeypatch.setattr(places, "open_database", lambda *_: made)
    return made


def test_voxels_stand_in_the_order_of_the_response_files(cortex, tmp_path):
    found = places.locate_voxels(tmp_path, "UTS01", "UTS01_auto", 5)
    # pycortex counts z first, x last: (0,0,0), (3,0,0), (2,4,0), (1,1,2), (3,5,4).
    assert found["hemisphere"].tolist() == ["left", "right", "right", "left", "right"]
    assert found["roi"].tolist() == ["V1", "V1", "", '"visual"', ""]
    assert all(0 <= vertex < 10242 for vertex in found["vertex"])


def test_a_mask_of_other_voxels_is_reported(cortex, tmp_path):
    with pytest.raises(UserError, match=r"no mask has the 7 voxels .*thick 5, cortical 120.*pycortex-UTS01"):
        places.locate_voxels(tmp_path, "UTS01", "UTS01_auto", 7)


def test_the_table_is_one_that_scores_are_averaged_by(cortex, tmp_path):
    write_published(tmp_path / "data", {"exam": 12}, ["UTS01"], n_voxels=5)
    files = {"exam": [tmp_path / "data/derivative/preprocessed_data/UTS01/exam.hf5"]}
    clocks, kept = tmp_path / "data/derivative/respdict.json", write_kept(tmp_path / "kept.tsv", [1, 4])
    prepare_responses(tmp_path / "UTS01.h5", files, clocks, ["exam"], voxels=kept)
    (tmp_path / "xfms.json").write_text(json.dumps({"UTS01": "UTS01_auto"}))
    found = {"database": tmp_path, "subject": "UTS01", "transforms": tmp_path / "xfms.json"}
    args = (tmp_path / "UTS01.h5", tmp_path / "voxels/UTS01.tsv")
    write_voxel_places(found, *args)
    assert read_regions(args[-1]) == {0: "V1", 1: "V1", 3: '"visual"'}
    assert read_voxels(args[-1])[2]["hemisphere"] == "right"
    with pytest.raises(UserError, match="has no transform of UTS09"):
        write_voxel_places(found | {"subject": "UTS09"}, *args)


def test_only_pycortex_makes_tables_and_a_table_of_ones_own_wins(monkeypatch):
    config = {
        "kind": "ds003020",
        "root": "data",
        "subjects": ["UTS01", "UTS09"],
        "test_stories": ["wheretheressmoke"],
    }
    for there in (False, True):
        monkeypatch.setattr("voxscale.dataset.kind_ds003020.pycortex_installed", lambda there=there: there)
        dataset = open_dataset(config)
        assert dataset.places_voxels == there
        assert str(dataset.voxels("UTS01")) == ("results/voxels/UTS01.tsv" if there else "None")
        assert dataset.voxels("UTS09") is None  # its transform is not published
        dataset.check()
    own = open_dataset(config | {"voxels": "mine/{subject}.tsv"})
    assert not own.places_voxels
    with pytest.raises(UserError, match=r"mine/UTS01\.tsv: no such file"):
        own.check()


@pytest.mark.slow
@pytest.mark.skipif(not pycortex.pycortex_installed(), reason="needs pycortex: make test-flatmaps")
@pytest.mark.filterwarnings("ignore")
def test_regions_of_pycortex_own_subject_lie_where_they_do(tmp_path):
    import cortex

    database = tmp_path / "db"  # pycortex writes its masks into it
    shutil.copytree(cortex.database.default_filestore, database)
    cortex.db.filestore = str(database)
    mask = cortex.db.get_mask("S1", "fullhead", "thick")
    found = places.locate_voxels(database, "S1", "fullhead", int(mask.sum()))
    # The order of voxels is pycortex's own: what it maps onto a vertex is a voxel of that side and region.
    numbers = cortex.Volume(found["voxel"] + 1.0, "S1", "fullhead", mask="thick")
    mapped = cortex.get_mapper("S1", "fullhead", "nearest")(numbers)
    halves = {"left": mapped.left.ravel(), "right": mapped.right.ravel()}
    for side, half in halves.items():
        inside = half[half > 0].astype(int) - 1  # 0 is a vertex of no voxel of the mask
        assert len(inside) > 0.95 * len(half)
        assert (found["hemisphere"][inside] == side).mean() > 0.999
    mapped = np.concatenate(list(halves.values())).astype(int)
    for region in ("V1", "AC"):
        inside = mapped[cortex.get_roi_verts("S1")[region]]
        assert (found["roi"][inside[inside > 0] - 1] == region).mean() > 0.9
    middle = {}
    for side in ("left", "right"):
        points = read_fsaverage5("pial", side)[0]
        for region in ("V1", "FFA", "M1H"):
            mine = (found["roi"] == region) & (found["hemisphere"] == side)
            assert mine.sum() > 20
            middle[side, region] = points[found["vertex"][mine]].mean(0)  # mm: right, front, up
    for side, sign in (("left", -1), ("right", 1)):
        assert middle[side, "V1"][1] < -75  # occipital pole
        assert -75 < middle[side, "FFA"][1] < -30
        assert middle[side, "FFA"][2] < -5  # below the temporal lobe
        assert middle[side, "M1H"][2] > 35  # top of the motor strip
        assert sign * middle[side, "M1H"][0] > 20
