"""The cortical surfaces on which voxels lie: fsaverage5, and the pycortex surfaces of ds003020."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
