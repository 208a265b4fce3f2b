"""Scaling laws of brain encoding models: the science, with no Snakemake and no paths of its own."""

__version__ = "0.1.0"
