from .hooks import before_graph as before_graph
from .hooks import before_jobs as before_jobs
from .locks import is_running as is_running
from .patches import compare_behind_ancient as compare_behind_ancient
from .patches import record_in_jobs as record_in_jobs
from .queue import SLURM_LOGS as SLURM_LOGS
from .queue import QueuedJob as QueuedJob
from .queue import read_queue as read_queue
