"""What is looked after while a run lasts."""

import contextlib
import itertools
import types

import pytest
from slurm_queue import job

from voxscale.cluster import watch


@pytest.fixture
def look(monkeypatch, tmp_path):
    """Watch jobs through given answers of SLURM; gives the lost ones, and those cancelled at each look."""
    monkeypatch.chdir(tmp_path)

    def run(active, known, queues=()):
        cancelled, answers, queues = [], iter(known), iter(queues)
        monkeypatch.setattr(watch, "time", types.SimpleNamespace(sleep=lambda seconds: None))
        monkeypatch.setattr(watch, "read_known_ids", lambda: next(answers))
        monkeypatch.setattr(watch, "read_queue", lambda: next(queues, None))
        monkeypatch.setattr(watch, "cancel", lambda jobs: cancelled.append([job.jobid for job in jobs]))

        class Executor:
            lock = contextlib.nullcontext()

            @property
            def active_jobs(self):
                return [types.SimpleNamespace(external_jobid=jobid) for jobid in next(active)]

        lost = watch.find_lost(Executor())
        assert next(answers, "all asked") == "all asked"
        return lost, cancelled

    return run


def test_a_job_that_slurm_forgot_is_found_and_one_it_hides_for_a_while_is_not(look):
    known = [{"1", "2"}, None, {"1"}, {"1"}, {"1", "2"}, *[{"1"}] * watch.LOST]
    assert look(itertools.repeat(["1", "2"]), known)[0] == {"2"}


def test_a_job_that_ended_meanwhile_is_not_lost(look):
    active = iter([["1"], ["1"], [], ["1"], ["1"], ["1"], ["1"]])
    assert look(active, [set()] * 7)[0] == {"1"}
    assert list(active) == []


def test_a_job_that_can_never_start_is_cancelled_with_its_reason_and_one_that_waits_is_not(look, capsys):
    reasons = ("PartitionTimeLimit", "QOSMaxCpuPerJobLimit", "Priority", "AssocGrpCpuLimit", "Resources")
    queue = [job(str(i), "PENDING", reason) for i, reason in enumerate(reasons)]
    # The first job's reason is gone at the second look.
    _, cancelled = look(itertools.repeat(["9"]), [set()] * watch.LOST, [queue, queue[1:], queue])
    assert cancelled == [[], ["1"], ["1"], []]
    reported = "SLURM can never start job 1 (QOSMaxCpuPerJobLimit); ask for less"
    assert reported in capsys.readouterr().err
    assert reported in (watch.SLURM_LOGS / "rule_fit_encoding/m_1_s_2/1.log").read_text()
