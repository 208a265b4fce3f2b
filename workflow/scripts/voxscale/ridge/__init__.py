"""Exact voxelwise ridge: one alpha per voxel from a grid, chosen by cross-validation.

In short: λ = α², and no intercept, since features and responses are centred per story. The dual form never
makes delayed features: their kernel is a sum of shifted kernels. Responses are voxel-major, and nearly all
time goes into products of voxel blocks with one operator per fold and alpha.

    solve(problem)     alpha, held-out score and test prediction of every voxel, block by block
    predict(problem)   out-of-fold and test predictions at chosen alphas
    weights(problem)   weights at chosen alphas
    plan(problem)      form, block sizes and memory, before the work
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
