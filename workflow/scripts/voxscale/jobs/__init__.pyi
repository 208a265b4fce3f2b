from .jobs import Jobs as Jobs
from .parameters import of_rule as of_rule
from .usage import write_comparison as write_comparison
