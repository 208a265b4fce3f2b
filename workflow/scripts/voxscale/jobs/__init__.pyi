from .jobs import Job as Job
from .jobs import Jobs as Jobs
from .record import CELL as CELL
from .rules import PATHS as PATHS
from .rules import RULES as RULES
from .rules import record_of as record_of
from .rules import require_schemas as require_schemas
from .usage import write_comparison as write_comparison
