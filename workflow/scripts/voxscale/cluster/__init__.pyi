from .queue import Queued as Queued
from .queue import read_queue as read_queue
from .watch import SLURM_LOGS as SLURM_LOGS
