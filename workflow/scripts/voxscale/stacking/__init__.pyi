from .api import Stack as Stack
from .api import stack as stack
from .subject import write_stacking as write_stacking
