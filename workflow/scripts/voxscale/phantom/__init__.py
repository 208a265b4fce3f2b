"""The phantom: a simulated dataset in the layout of ds003020, whose truth is known.

Stories are written for it and spoken by a synthesiser (`prose`, `speech`, `grids`). What drives the voxels is
computed from the words and the sound (`latents`); `patches` places the voxels and `brain` draws their
responses. `expectation` computes the true scores, and `validation` compares results with them (`checks`).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
