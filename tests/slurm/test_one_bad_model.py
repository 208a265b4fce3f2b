"""Six models, of which one cannot be fitted: it is not tried again, and a report of the others says so."""

import json
import os
import re

import pyarrow.parquet as pq
import pytest
from slurm.drive import HOME, STUDY, Sweep, answers

pytestmark = pytest.mark.slurm
MODELS = [f"nested-{2**i}" for i in range(6)]
BAD = "nested-8"
STUDIED = STUDY | {
    "sweeps": {"size": {"models": MODELS, "layers": [0]}},
    "laws": {"size": {"sweep": "size", "x": "width", "voxels": ["all"]}},
    "stacking": {"members": []},
}


@pytest.mark.skipif(
    not os.environ.get("VOXSCALE_LONG"),
    reason="VOXSCALE_LONG=1 runs it; tests/workflow/test_edits.py makes a partial report without a cluster",
)
def test_a_study_of_six_models_with_one_bad_ends_with_a_partial_report(tmp_path):
    if not answers():
        pytest.skip("no SLURM cluster answers")
    sweep = Sweep(tmp_path / "study", STUDIED)
    sweep.finish(targets=["features"])
    cut = next(sweep.folder.glob(f"results/features/stories/{BAD}/*.h5"))
    cut.write_bytes(cut.read_bytes()[:1000])
    said = sweep.finish(targets=["all"], status=1)
    assert "voxscale report --partial" in said
    assert re.search("Not tried again, since the outcome would be the same. ERROR fit_encoding", said)
    bad, *others = sorted(sweep.fits(), key=lambda unit: f"_{BAD}_" not in unit)
    assert sweep.states(bad) == ["FAILED"]
    assert [sweep.states(unit) for unit in others] == [["COMPLETED"]] * 5
    assert not (sweep.folder / "results/report.html").exists()
    options = "--workflow-profile", HOME / "profiles/slurm", "--latency-wait", "15"
    sweep.voxscale("report", "--partial", *options, "--slurm-init-seconds-before-status-checks", "1")
    page = (sweep.folder / "results/partial/report.html").read_text()
    missing = f"model {BAD} is missing: results/features/stories/{BAD}/{cut.name}: damaged"
    assert "Partial: this is not the whole study." in page
    assert missing in page
    for table in sweep.folder.glob("results/partial/**/*.parquet"):
        (sentence, *_) = json.loads(pq.read_schema(table).metadata[b"origin"])["missing"]
        assert sentence.startswith(missing), table
    for csv in sweep.folder.glob("results/partial/figures/*.csv"):
        assert f"PARTIAL, not the whole study: model {BAD} is missing" in csv.read_text()
    assert missing in (sweep.folder / "results/partial/README.md").read_text()
    law = pq.read_table(sweep.folder / "results/partial/laws/size-points.parquet")
    assert set(law["model"].to_pylist()) == set(MODELS) - {BAD}
    assert len(sweep.fits()) == 6  # no other was submitted
    assert sweep.twice_at_once() == []
