"""The phantom: a simulated dataset in the layout of ds003020, whose truth is known.

Stories are our own prose, spoken by a synthesiser (`prose`, `speech`, `grids`). The latent variables that
drive the voxels come from the words and the sound (`latents`); `cortex` and `brain` define where voxels are
and how they respond; `expectation` computes the true results, and `validation` compares ours with them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
