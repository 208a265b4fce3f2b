"""Reading and writing files: each is written completely or not at all, with checks, units and provenance."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
