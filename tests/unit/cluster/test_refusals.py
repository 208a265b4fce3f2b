"""What sbatch refuses is kept in its own words, with the key to change."""

from types import SimpleNamespace

import pytest

from voxscale.cluster.queue import SLURM_LOGS
from voxscale.cluster.refusals import keep_refusals, key_of, sbatch_words

SBATCH = """SLURM sbatch failed. The error message was '{}'.
    sbatch call:
        sbatch --parsable -p 'long'
"""


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("Invalid account or account/partition combination specified", "account"),
        ("The account to use must be one of lab, not nobody", "account"),
        ("Invalid qos specification", "qos"),
        ("Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)", "qos"),
        ("invalid partition specified: nope; Invalid partition name specified", "partition"),
        ("Invalid feature specification", "constraint"),
        ("Invalid generic resource (gres) specification", "gres"),
        ("Requested time limit is invalid (missing or exceeds some limit)", "max_minutes"),
        ("Requested node configuration is not available", "partition"),
        ("unrecognized option '--bogus=1'", "extra"),
    ],
)
def test_the_key_that_words_are_about(words, key):
    assert key_of(words) == key


def test_words_are_one_line_and_nothing_else_is_a_refusal():
    text = (
        "sbatch: error: invalid partition specified: a\nsbatch: error: Batch job submission failed: Invalid"
    )
    line = "invalid partition specified: a; Batch job submission failed: Invalid"
    assert sbatch_words(SBATCH.format(text)) == line
    assert sbatch_words("Job submission failed with exception: no\n such account") == "no; such account"
    assert sbatch_words("SLURM-job '7' failed, SLURM status is: 'FAILED'") == ""


def test_a_refused_job_leaves_a_log_and_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = []
    executor = SimpleNamespace(report_job_error=lambda info, msg=None: said.append(msg))
    keep_refusals(executor, lambda job, key: f"config key cluster.cpu.{key}")
    job = SimpleNamespace(name="fit_encoding", wildcards=["m", "1"])
    executor.report_job_error(SimpleNamespace(external_jobid=None, job=job), msg=SBATCH.format("Invalid qos"))
    line = "ERROR fit_encoding: sbatch refuses the job: Invalid qos; change config key cluster.cpu.qos"
    assert said == [line]
    assert (SLURM_LOGS / "rule_fit_encoding/m_1/sbatch.log").read_text() == f"{line}\n"
    executor.report_job_error(SimpleNamespace(external_jobid="7", job=job), msg="failed")
    assert said[1:] == ["failed"]
