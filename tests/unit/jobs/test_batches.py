"""Which cells are fitted by one job."""

import pytest
from fitted_cells import leave_batch, leave_cell
from workflow.runs import tiny_config

from voxscale.jobs import FittedCells, Job, Jobs, batches, check_files, prune
from voxscale.jobs.batches import batches_of, batches_with, cells_in
from voxscale.study import load_study


def study_of(minutes, seconds, monkeypatch, layers="all", n_train=("all",), model="tiny-opt-4"):
    """A study of one model and subject; `seconds` says what a cell takes."""
    config = tiny_config() | {"encoding": {"job_minutes": minutes}}
    config["dataset"]["subjects"] = ["UTS01"]
    config["sweeps"] = {"size": {"models": [model], "layers": layers, "n_train": list(n_train)}}
    monkeypatch.setattr(batches, "_seconds", lambda sizes, cell: seconds(cell))
    return load_study(config)


def names(study):
    return [(batch["layers"], batch["n_trains"]) for batch in batches_of(study)]


@pytest.mark.parametrize(
    ("minutes", "blocks"),
    [
        (0, ["0", "1", "2", "3", "4"]),
        (1, ["0", "1", "2", "3", "4"]),
        (1.5, ["0-1", "2-3", "4"]),
        (4, ["0-3", "4"]),
        (10, ["0-4"]),
    ],
)
def test_layers_are_put_together_until_they_are_worth_a_job(monkeypatch, minutes, blocks):
    study = study_of(minutes, lambda cell: 60, monkeypatch)
    assert names(study) == [(layers, "1-4") for layers in blocks]
    found = [cell for batch in batches_of(study) for cell in cells_in(study, batch)]
    assert sorted(found) == sorted(study.grid.cells())


def test_a_layer_that_is_added_changes_its_own_block_only(monkeypatch):
    with_gap, whole = (study_of(2, lambda cell: 60, monkeypatch, layers) for layers in ([0, 1, 2, 4], "all"))
    assert names(with_gap) == [("0-1", "1-4"), ("2-3", "1-4"), ("4", "1-4")] == names(whole)
    (batch,) = batches_with(whole, [cell for cell in whole.grid.cells() if cell.layer == 3])
    digests = [
        {job.wildcards["layers"]: Jobs(s).digest(job) for job in jobs_of(s)} for s in (with_gap, whole)
    ]
    assert {layers for layers in digests[0] if digests[0][layers] != digests[1][layers]} == {batch["layers"]}


def jobs_of(study):
    return [job for job in Jobs(study).all() if job.rule == "fit_encoding"]


def test_sizes_of_a_costly_layer_are_jobs_of_their_own_the_small_ones_together(monkeypatch):
    sizes = [1, 2, 3, "all"]
    study = study_of(5, lambda cell: 90 * cell.n_train, monkeypatch, "last", sizes)
    assert names(study) == [("4", "1-3"), ("4", "4")]
    study = study_of(5, lambda cell: 60 * cell.n_train**2, monkeypatch, "last", sizes)
    assert names(study) == [("4", "1-2"), ("4", "3"), ("4", "4")]
    by_size = [[cell.n_train for cell in cells_in(study, batch)] for batch in batches_of(study)]
    assert by_size == [[1, 2], [3], [4]]


def test_a_layer_that_costs_much_leaves_the_others_together(monkeypatch):
    study = study_of(3, lambda cell: 600 if cell.layer == 2 else 30, monkeypatch)
    assert names(study) == [("0-1", "1-4"), ("2", "1-4"), ("3", "1-4"), ("4", "1-4")]


def test_batches_do_not_change_when_the_phantom_is_written(tmp_path, monkeypatch):
    """A job on a node plans again, with files that were not there when its run began."""
    monkeypatch.chdir(tmp_path)
    study = load_study(tiny_config())
    sizes = batches.Sizes(study, before=True)
    before = sizes.trs("nightbaker")
    monkeypatch.setattr(type(study.dataset), "n_trs", lambda *_: before + 7)
    assert batches.Sizes(study, before=True).trs("nightbaker") == before
    assert batches.Sizes(study).trs("nightbaker") == before + 7


def test_a_job_has_the_batches_of_its_run_whatever_prices_it_finds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(batches, "_following", [])
    mine = study_of(2, lambda cell: 60, monkeypatch)
    batches.keep_batches(mine)
    other = study_of(2, lambda cell: 600, monkeypatch)
    batches.follow_batches()
    assert batches_of(other) == batches_of(mine)
    fewer = study_of(2, lambda cell: 600, monkeypatch, layers=[0, 1])
    assert names(fewer) == [("0-1", "1-4")], "a part of the study, as a partial report has it"
    another = study_of(2, lambda cell: 600, monkeypatch, layers=[0, 1], model="tiny-opt-3")
    assert names(another) == [("0", "1-4"), ("1", "1-4")]


@pytest.fixture
def left(tmp_path, monkeypatch):
    """A study of which one batch is finished, and one cell of the next."""
    monkeypatch.chdir(tmp_path)
    jobs = Jobs(load_study(tiny_config()))
    one, other, *_ = jobs_of(jobs.study)
    leave_batch(jobs, one)
    leave_cell(jobs.study, cells_in(jobs.study, other.wildcards)[0])
    return jobs, one


def test_a_finished_cell_that_is_deleted_or_replaced_is_noticed(left):
    jobs, batch = left
    fits = FittedCells(jobs.study)
    assert fits.incomplete() == []
    assert not check_files(jobs).problems
    cell = cells_in(jobs.study, batch.wildcards)[0]
    scores, moments = leave_cell(jobs.study, cell, key="of another setting")
    problems = check_files(jobs).problems
    assert [line.split(": is not the file that")[0] for line in problems] == [str(scores), str(moments)]
    scores.write_bytes(b"damaged")
    moments.unlink()
    assert fits.incomplete() == [], "listed once a run"
    fits = FittedCells(jobs.study)
    assert fits.incomplete() == [batch.output]
    assert not fits.is_done(batch)
    assert Job("fit_encoding", batch.wildcards).is_done()
    problems = check_files(jobs).problems
    assert "is not" not in problems[0]
    assert problems[1] == f"{moments}: no such file; run again"


def test_fits_that_no_study_uses_are_pruned(left):
    jobs, batch = left
    assert prune.unused_fits([jobs.study]) == []
    cell = cells_in(jobs.study, batch.wildcards)[0]
    gone = leave_cell(jobs.study, cell._replace(layer=1))
    model = leave_cell(jobs.study, cell._replace(model="tiny-opt-2"), settings="x")[0].parents[1]
    earlier = prune.Path("results/scores/model=tiny-opt-1/layer=2/subject=UTS01/n_train=2/scores.parquet")
    earlier.parent.mkdir(parents=True)
    earlier.touch()
    draws = FittedCells(jobs.study).scratch(cell)
    draws.mkdir()
    index = batch.output.with_name("layers=2_n_train=1-4.json")
    index.touch()
    found = set(prune.unused_fits([jobs.study]))
    other = prune.Path("results/moments") / model.name
    assert found == {*gone, model, other, earlier.parents[2], index}
    assert FittedCells(jobs.study).of_earlier_layout() == 1
