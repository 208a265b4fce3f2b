"""Scaling laws of brain encoding models: the science, with no Snakemake and no paths of its own.

What a notebook needs is here; the rest is in the rooms (`voxscale.ridge`, `voxscale.laws`, ...).
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
