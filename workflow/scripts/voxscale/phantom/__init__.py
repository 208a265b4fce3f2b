"""The phantom: a dataset in the layout of ds003020 whose truth is known.

Stories are prose of our own, spoken by a synthesiser (`prose`, `speech`, `grids`). What drives the voxels is
made of the words and of the sound (`latents`), where they sit and how they answer is in `cortex` and `brain`,
what must be found is in `expectation`, and `validation` compares it with what was found.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
