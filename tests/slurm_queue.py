"""A SLURM whose queue passes through given states, in which no time passes."""

import types

from voxscale.cluster import takeover
from voxscale.cluster.queue import QueuedJob


def job(jobid, state, place=""):
    return QueuedJob(jobid, "voxscale_x", state, "rule_fit_encoding_wildcards_m_1_s_2", place)


class Cluster:
    """Gives one state of the queue per question, and keeps what is done to it."""

    def __init__(self, monkeypatch):
        self.states, self.cancelled, self.slept = [], [], 0.0
        monkeypatch.setattr(takeover, "read_queue", self.read)
        monkeypatch.setattr(takeover, "cancel", self.cancel)
        monkeypatch.setattr(takeover, "time", types.SimpleNamespace(sleep=self.sleep))

    def read(self):
        return self.states.pop(0) if self.states else []

    def cancel(self, jobs):
        self.cancelled += [job.jobid for job in jobs]

    def sleep(self, seconds):
        self.slept += seconds

    def settle(self, *states):
        """Wait for the earlier jobs of a queue with these states."""
        self.states, self.cancelled, self.slept = list(states), [], 0.0
        return takeover.settle()
