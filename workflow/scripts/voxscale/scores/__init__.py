"""From the scores of all cells to tables per voxel and voxel set; noise ceilings."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
