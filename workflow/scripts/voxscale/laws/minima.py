"""From how much a law may be concluded: below these minima nothing is preferred, advised or headlined.

Simulated studies of these sizes are in docs/validation.md. Intervals hold from ten blocks and twenty voxels
on. The form that is preferred then is the true one of three in 60 to 71 % of studies; with fewer voxels a
saturating law is found hardly more often than by chance.
"""

from __future__ import annotations

FEWEST = 3  # points of a law: any line fits two
MODELS = 4  # of a law over models, whose scatter the interval must cover; one more for each intercept
BLOCKS = 10  # of the test stories
VOXELS = 20  # of a set
DESIGN = 3, 4  # models and training sizes of a joint law
JUDGED = 6  # points, from which every form, of three parameters and a scatter, has a corrected AIC


def lacking(n_blocks: int, n_voxels: int, n_models: int | None = None, n_families: int = 1) -> list[str]:
    """What there is too little of for a conclusion, in words; empty if nothing is.

    Args:
        n_blocks: blocks of test TRs that are scored.
        n_voxels: voxels averaged, of all subjects together.
        n_models: points of a law over models; None for other laws.
        n_families: families of models that have an intercept of their own.
    """
    counts = {"test blocks": (n_blocks, BLOCKS), "voxels": (n_voxels, VOXELS)}
    if n_models is not None:
        what = "models" if n_families == 1 else f"models of {n_families} families"
        counts[what] = n_models, MODELS + n_families - 1
    return [f"{n} {what} ({least} are needed)" for what, (n, least) in counts.items() if n < least]


def design_lacks(n_models: int, n_sizes: int) -> str | None:
    """What a joint law's design lacks for a statement on the next step, in words; None if it suffices."""
    if n_models >= DESIGN[0] and n_sizes >= DESIGN[1]:
        return None
    return f"{n_models} models at {n_sizes} training sizes ({DESIGN[0]} at {DESIGN[1]} are needed)"
