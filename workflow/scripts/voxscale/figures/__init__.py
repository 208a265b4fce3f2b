"""Figures: each `draw_*` is pure, from tables to a figure and what it plots; `style.save` writes them."""
