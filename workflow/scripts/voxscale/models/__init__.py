"""Models: what their entries say of them, getting or building them, counting and loading them.

`registry` imports nothing heavy, so that a study can be planned on a login node; the others need torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
