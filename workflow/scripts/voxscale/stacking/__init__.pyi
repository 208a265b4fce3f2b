from .subject import write_stacking as write_stacking
