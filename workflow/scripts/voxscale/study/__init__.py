"""From a config to a checked study: models, sweeps, cells and selections."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
