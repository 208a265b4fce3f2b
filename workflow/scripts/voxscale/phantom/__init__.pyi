from .validation import validate as validate
from .writing import scan as scan
from .writing import write_stimuli as write_stimuli
