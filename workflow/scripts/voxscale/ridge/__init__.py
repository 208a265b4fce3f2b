"""Exact voxelwise ridge: one alpha per voxel from a grid, chosen by cross-validation.

In short: λ = α², and no intercept, since features and responses are centred per story. The dual form never
makes delayed features: their kernel is a sum of shifted kernels. Responses are voxel-major, and nearly all
time goes into products of voxel blocks with one operator per fold and alpha.

    solve(problem)     alpha, held-out score and test prediction of every voxel, block by block
    predict(problem)   out-of-fold and test predictions at chosen alphas
    weights(problem)   weights at chosen alphas
    plan(problem)      form, block sizes and memory, before the work
"""

from voxscale.ridge.budget import Plan, Sizes, fit_bytes, make_plan
from voxscale.ridge.folds import chunk_folds, make_folds, story_folds
from voxscale.ridge.kernel import Kernel
from voxscale.ridge.prediction import predict, weights
from voxscale.ridge.problem import Block, Fold, Prediction, RidgeProblem, Weights
from voxscale.ridge.solver import plan, sizes_of, solve

__all__ = [
    "Block",
    "Fold",
    "Kernel",
    "Plan",
    "Prediction",
    "RidgeProblem",
    "Sizes",
    "Weights",
    "chunk_folds",
    "fit_bytes",
    "make_folds",
    "make_plan",
    "plan",
    "predict",
    "sizes_of",
    "solve",
    "story_folds",
    "weights",
]
