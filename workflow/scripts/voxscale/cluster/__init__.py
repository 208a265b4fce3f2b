"""A run on SLURM: takes over what a killed run left, and handles jobs that SLURM forgets or never starts."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
