from .config import PRESETS as PRESETS
from .config import merge as merge
from .config import read_yaml as read_yaml
from .grid import Cell as Cell
from .study import Study as Study
