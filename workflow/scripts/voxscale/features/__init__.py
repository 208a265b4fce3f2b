"""Features of stories: one row per TR and layer, made by models or controls and kept in a store."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
