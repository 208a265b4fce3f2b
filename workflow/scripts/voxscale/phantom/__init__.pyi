from .validation import validate_phantom as validate_phantom
from .writing import scan_subject as scan_subject
from .writing import write_stimuli as write_stimuli
