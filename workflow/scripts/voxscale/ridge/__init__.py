"""Exact voxelwise ridge: one alpha per voxel from a grid, chosen by cross-validation.

In short: λ = α², and no intercept, since features and responses are centred per story. The dual form never
makes delayed features: their kernel is a sum of shifted kernels. Responses are voxel-major, and nearly all
time goes into products of voxel blocks with one operator per fold and alpha.

    solve_ridge(problem)     alpha, held-out score and test prediction of every voxel, block by block
    predict_ridge(problem)   out-of-fold and test predictions at chosen alphas
    solve_weights(problem)   weights at chosen alphas
    plan_ridge(problem)      form, block sizes and memory, before the work

`VoxelwiseRidgeCV` and `BandedRidgeCV` do the same work as estimators of scikit-learn.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
