"""Figures: each `draw_*` is pure, from tables to a figure and what it plots; `draw_figure` does the files."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
