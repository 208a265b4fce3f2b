"""Scaling laws of brain encoding models: the science, with no Snakemake and no paths of its own.

What a notebook needs is here; the rest is in the rooms (`voxscale.ridge`, `voxscale.laws`, ...).
"""

import sys
from typing import Any

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def _stop_quietly(kind: type[BaseException], *error: Any) -> None:
    """Print what ended a script, but not where Ctrl-C met it."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, *error)


if hasattr(sys.modules["__main__"], "snakemake"):  # this is the job of a rule
    sys.excepthook = _stop_quietly
