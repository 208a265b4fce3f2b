"""Gathering: every row once, means that leave NaN voxels out, bad files named, memory that does not grow."""

import json
import subprocess
import sys

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
from simulated_study import write_moments

from voxscale.dataset.voxels import read_regions, read_voxels
from voxscale.errors import UserError
from voxscale.io import tables
from voxscale.scores.gather import gather_scores
from voxscale.scores.voxel_sets import deciles, read_sets

VOXELS = 40
SETTINGS = {"fdr": 0.05, "n_alphas": 15, "skip_s": 0, "tr_s": 2.0}


def cell_columns(model="a", layer=1, subject="UTS01", n_train=3, draws=2, voxels=VOXELS, seed=0):
    rng = np.random.default_rng(seed)
    n = draws * voxels
    r = rng.uniform(-0.2, 0.6, n)
    return {
        "model": [model] * n,
        "layer": [layer] * n,
        "subject": [subject] * n,
        "n_train": [n_train] * n,
        "draw": np.repeat(np.arange(draws), voxels),
        "voxel": np.tile(np.arange(voxels) + 5, draws),
        "r": r,
        "r_uncut": r + 0.1,
        "r_ceiling": rng.permutation(r),
        "cv_r": np.where(r > 0.3, 0.8, 0.01),
        "alpha": np.ones(n),
        "alpha_edge": np.where(np.arange(n) % 4 == 0, 1 - 2 * (np.arange(n) % 8 == 0), 0),
        "p": np.where(r > 0.3, 0.001, 0.5),
        "train_trs": np.full(n, 300),
        "train_hours": np.full(n, 300 * 2 / 3600),
        "n_features": np.full(n, 256),
    }


def write_cell(folder, **changes):
    columns = cell_columns(**changes)
    path = folder / f"{columns['model'][0]}-{columns['n_train'][0]}.parquet"
    tables.write("scores", columns, path)
    return path


@pytest.fixture
def study(tmp_path):
    """Two cells of one subject, with card, ceiling and voxel table."""
    paths = [write_cell(tmp_path), write_cell(tmp_path, n_train=5, draws=1, seed=1)]
    card = tmp_path / "a.json"
    about = {"model": "a", "modality": "language", "n_layers": 4, "width": 64}
    card.write_text(json.dumps(about | {"parameters": 1000, "parameters_non_embedding": 900}))
    schema = tables.SCHEMAS["ceiling"]
    columns = {name: np.linspace(0.1, 0.9, VOXELS) for name in schema.names}
    columns |= {"subject": ["UTS01"] * VOXELS, "voxel": np.arange(VOXELS) + 5}
    columns |= {"n_repeats": np.full(VOXELS, 5), "reliable": np.arange(VOXELS) >= 20}
    ceiling = tmp_path / "ceiling.parquet"
    tables.write("ceiling", columns, ceiling)
    regions = tmp_path / "UTS01.tsv"
    rows = [f"{5 + i}\tleft\t{i}\t{'AC' if i < 10 else 'n/a'}" for i in range(VOXELS)]
    regions.write_text("\n".join(["voxel\themisphere\tvertex\troi", *rows]) + "\n")
    predicted, observed = np.random.default_rng(2).normal(size=(2, VOXELS, 300))
    moments = write_moments(tmp_path / "moments.h5", predicted[None], observed, {"a": 300})
    with h5py.File(moments, "a") as file:
        file["voxel"][:] += 5
    outputs = [tmp_path / "out" / f"{name}.parquet" for name in ("scores", "summary", "voxels")]
    files = {"card": card, "ceiling": ceiling, "regions": regions, "reference": (paths[1], moments)}
    return {"paths": paths, "outputs": outputs} | files


def run(study, **changes):
    study = study | changes
    tsv = {"UTS01": study["regions"]}
    inputs = study["paths"], [study["card"]], [study["ceiling"]], tsv
    gather_scores(*inputs, *study["outputs"], [study["reference"]], {"a": "opt"}, SETTINGS)
    names = ("scores", "summary", "voxels")
    return [tables.read(name, path).to_pandas() for name, path in zip(names, study["outputs"], strict=True)]


def test_every_row_once_and_means_by_set(study):
    scores, summary, voxels = run(study)
    assert len(scores) == 3 * VOXELS
    assert not scores.duplicated(["model", "layer", "subject", "n_train", "draw", "voxel"]).any()
    part = scores[(scores.n_train == 3) & (scores.draw == 1)]
    row = summary[(summary.n_train == 3) & (summary.draw == 1)].set_index("voxel_set")
    r = part.r.to_numpy(np.float64)
    assert row.loc["all", "mean_r"] == pytest.approx(r.mean())
    assert row.loc["all", "mean_r2"] == pytest.approx((r * abs(r)).mean())
    assert row.loc["roi:AC", "mean_r"] == pytest.approx(r[:10].mean())
    assert row.loc["reliable", "n_voxels"] == 20
    ccmax = np.linspace(0.1, 0.9, VOXELS)[20:]
    assert row.loc["all", "mean_ccnorm"] == pytest.approx((part.r_ceiling[20:] / ccmax).mean())
    assert row.loc["all", "depth"] == 0.25
    assert not row.loc["all", "wide"]
    assert voxels.roi.notna().sum() == 10
    # Significance comes from the named reference inside training, and does not depend on p on the test set.
    assert voxels.reference.unique().tolist() == ["a layer 1 n_train 5"]
    assert voxels.significant.tolist() == (scores[scores.n_train == 5].cv_r > 0.3).tolist()
    assert row.loc["significant", "n_voxels"] == voxels.significant.sum()
    metadata = pq.read_schema(study["outputs"][0])
    assert metadata.field("r").metadata[b"unit"] == b"correlation"
    assert tables.provenance(study["outputs"][0])["fdr"] == 0.05


def test_significant_voxels_are_those_of_the_references_whatever_is_gathered(study, tmp_path):
    about = {"model": "s", "modality": "speech", "n_layers": 4, "width": 64}
    cards = [study["card"], tmp_path / "s.json", tmp_path / "c.json"]
    cards[1].write_text(json.dumps(about))
    cards[2].write_text(json.dumps(about | {"model": "c", "modality": "control"}))
    cells = {}
    for seed, model in enumerate(("s", "c"), 4):
        cells[model] = cell_columns(model=model, draws=1, n_train=5, seed=seed)
        cells[model]["cv_r"] = np.where(np.arange(VOXELS) % 7 == seed % 7, 0.9, 0.0)
        tables.write("scores", cells[model], tmp_path / f"{model}.parquet")
    paths = [*study["paths"], tmp_path / "s.parquet", tmp_path / "c.parquet"]
    references = [study["reference"], (tmp_path / "s.parquet", study["reference"][1])]
    found = {}
    for name, some in (("all", paths), ("some", paths[:1])):
        gather_scores(some, cards, [study["ceiling"]], {}, *study["outputs"], references, {}, SETTINGS)
        found[name] = tables.read("voxels", study["outputs"][2]).to_pandas()
    voxels = found["some"]
    assert found["all"].equals(voxels)
    language = tables.read("scores", study["reference"][0]).to_pandas().cv_r.to_numpy() > 0.3
    assert voxels.significant.tolist() == (language | (cells["s"]["cv_r"] > 0.3)).tolist()
    assert voxels.reference[0] == "a layer 1 n_train 5 or s layer 1 n_train 5"
    assert voxels.roi.isna().all()


def test_every_mean_is_over_the_voxels_that_all_cells_score(study, tmp_path):
    columns = cell_columns(seed=3, draws=1, model="a", layer=2)
    columns["r"][:4] = np.nan
    path, silent = tmp_path / "nan.parquet", tmp_path / "silent.parquet"
    tables.write("scores", columns, path)
    tables.write("scores", cell_columns(draws=1, layer=3) | {"r": np.full(VOXELS, np.nan)}, silent)
    _, summary, voxels = run(study, paths=[*study["paths"], path, silent])
    assert voxels.scored.tolist() == [False] * 4 + [True] * (VOXELS - 4)
    every = summary[summary.voxel_set == "all"].set_index(["layer", "n_train", "draw"])
    known = every.drop(index=3)
    assert (known.n_voxels == VOXELS - 4).all(), "also those of cells that score all voxels"
    assert (known.n_nan == 4).all()
    assert known.loc[(2, 3, 0), "mean_r"] == pytest.approx(columns["r"][4:].mean())
    assert known.loc[(1, 3, 1), "mean_r"] == pytest.approx(cell_columns()["r"][VOXELS + 4 :].mean())
    assert every.loc[(3, 3, 0), "n_voxels"] == 0, "a cell without any score takes no voxel from the others"
    mine = read_sets(study["outputs"][2])["UTS01"]
    assert mine.choose(["all"], "x")["all"].sum() == VOXELS - 4
    assert (mine.left_out("all"), mine.left_out("reliable")) == (4, 0)


def test_sets_come_back_by_subject(study):
    run(study)
    mine = read_sets(study["outputs"][2])["UTS01"]
    assert mine.voxels.tolist() == list(range(5, 45))
    np.testing.assert_allclose(mine.ccmax, np.linspace(0.1, 0.9, VOXELS))
    assert [int(mine.members[f"decile:{i}"].sum()) for i in range(1, 11)] == [2] * 10
    assert list(mine.choose(["all", "rois"], "x")) == ["all", "roi:AC"]
    with pytest.raises(UserError, match=r"laws\.x: UTS01 has no voxel set roi:V1; use one of all, reliable"):
        mine.choose(["roi:V1"], "laws.x")
    study["regions"].write_text('voxel\troi\n5\t"AC\n6\tV1\n')
    assert read_regions(study["regions"]) == {5: '"AC', 6: "V1"}
    assert deciles(np.array([np.nan, 0.5]), np.array([True, True])).tolist() == [0, 1]


def test_bad_input_names_its_file(study, tmp_path):
    again = tmp_path / "again.parquet"
    tables.write("scores", cell_columns(), again)
    with pytest.raises(
        UserError, match=r"again\.parquet: has model=a, layer=1, .* which is also in .*a-3\.parquet"
    ):
        run(study, paths=[*study["paths"], again])
    assert not study["outputs"][0].exists()
    assert not list(tmp_path.rglob("*.part*")), "nothing half-written stays"
    twice = cell_columns(draws=1, n_train=9)
    twice["voxel"][1] = twice["voxel"][0]
    tables.write("scores", twice, again)
    with pytest.raises(UserError, match="draw 0 has a voxel twice"):
        run(study, paths=[again])
    pq.write_table(pq.read_table(study["paths"][0]).drop_columns(["cv_r"]), again)
    with pytest.raises(UserError, match=r"again\.parquet: is not table scores \(lacks \['cv_r'\]\)"):
        run(study, paths=[again])
    again.write_bytes(study["paths"][0].read_bytes()[:-200])
    with pytest.raises(UserError, match=r"again\.parquet: damaged"):
        run(study, paths=[again])
    tables.write("scores", cell_columns(model="b"), again)
    with pytest.raises(UserError, match="model b: has scores but no card"):
        run(study, paths=[again])
    tables.write("scores", cell_columns(voxels=VOXELS - 1), again)
    with pytest.raises(UserError, match="its voxels are not those of UTS01's ceiling"):
        run(study, paths=[again])
    study["regions"].write_text("voxel\troi\n5\tAC\n5\tAC\n")
    with pytest.raises(UserError, match="line 3 has voxel 5 again"):
        read_voxels(study["regions"])


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"voxel\troi\n0\t\xe9\n", "is not a tab-separated table"),
        (b"roi\tvoxel\nAC\n", "line 2 has 1 cells, the header has 2"),
        (b"voxel\troi\n0\tAC\n1\tAC\tV1\n", "line 3 has 3 cells, the header has 2"),
    ],
)
def test_a_malformed_table_of_voxels_ends_in_one_line(tmp_path, content, line):
    path = tmp_path / "voxels.tsv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=line):
        read_voxels(path)
    path.write_bytes(b"\xef\xbb\xbfvoxel\troi\n0\tAC\n")
    assert read_voxels(path)[0]["roi"] == "AC", "a mark in front of UTF-8, as spreadsheets write"


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_cells(tmp_path):
    code = """
import resource, sys
sys.path[:0] = ["workflow/scripts", "tests", "tests/unit/scores"]
from pathlib import Path
from test_gather import cell_columns
from voxscale.io import tables
from voxscale.scores.gather import _write_cells
folder, n = Path(sys.argv[1]), int(sys.argv[2])
path = folder / "cell.parquet"
tables.write("scores", cell_columns(draws=1, voxels=60_000), path)
from voxscale.scores import gather
one = next(gather.read_cell(path))
gather.read_cell = lambda i: iter([((*one[0][:4], i), one[1])])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in _write_cells(range(n), folder / "all.parquet", {}):
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
    peaks = [
        int(
            subprocess.run(
                [sys.executable, "-c", code, tmp_path, str(n)], capture_output=True, text=True
            ).stdout
        )
        for n in (15, 75)
    ]
    assert pq.ParquetFile(tmp_path / "all.parquet").metadata.num_rows == 75 * 60_000
    assert peaks[1] < peaks[0] + 60, "MB; the added rows alone are 200 MB"


def test_too_few_test_blocks_make_no_voxel_significant_and_say_so(study, tmp_path, capsys):
    short = np.random.default_rng(3).normal(size=(VOXELS, 40))
    moments = write_moments(tmp_path / "short.h5", short[None], short, {"a": 40})
    with h5py.File(moments, "a") as file:
        file["voxel"][:] += 5
    voxels = run(study, reference=(study["paths"][1], moments))[2]
    assert set(voxels.reference) == {"none"}
    assert not voxels.significant.any()
    assert capsys.readouterr().err.count("which voxels are significant is not known") == 1
