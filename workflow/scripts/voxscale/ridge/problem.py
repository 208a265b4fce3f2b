"""What a fit is given and what it gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch

FEW_TRS = 64


class Fold(NamedTuple):
    """Rows (TRs of the stacked training stories) that a fold trains on, and those it holds out."""

    train: np.ndarray
    held: np.ndarray


class Responses(Protocol):
    """Voxel-major responses (voxels, TRs): an array, or anything that slices like one."""

    shape: tuple[int, int]

    def __getitem__(self, voxels: slice) -> np.ndarray: ...


@dataclass(frozen=True)
class RidgeProblem:
    """One training set, all its voxels.

    Args:
        x_train: (n, d) undelayed features, scaled, training stories stacked.
        train_lengths: TRs of each training story; delays stay inside a story. One number, their sum, lets
            delays reach into the story before.
        x_test: (m, d) undelayed features of the test stories, scaled.
        test_lengths: TRs of each test story.
        y_train: (voxels, n) responses, scaled. Rows with NaN or without variance get no answer.
        folds: of the rows of `x_train`.
        alphas: (A,) ascending; the penalty is λ = α².
        alpha_scale: `absolute`, or `kernel`: α counts in units of the root of the kernel's mean diagonal, so
            that one grid serves any number of features.
        delays: of the finite impulse response, in TRs.
        form: `dual` (n × n systems), `primal` (p × p, p = features × delays), or the cheaper one. With
            p < n the dual loses digits at penalties far below the largest eigenvalue.
        precision: arithmetic of the scoring; see `arithmetic`.
        screen: score all alphas cheaply and certify the close ones in `precision`; `auto`: where it pays;
            `float32`: with no lower precision than that.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, ...
        memory_gb: what the fit may use of the host, in 10⁹ bytes. Of a GPU's memory it may use what is free.
        kernel: (N, N) delayed kernel of a larger training set; `kernel_rows` are the rows of this one in it,
            which are whole stories.
    """

    x_train: np.ndarray
    train_lengths: Sequence[int]
    x_test: np.ndarray
    test_lengths: Sequence[int]
    y_train: Responses
    folds: Sequence[Fold]
    alphas: np.ndarray
    alpha_scale: Literal["absolute", "kernel"] = "absolute"
    delays: Sequence[int] = (1, 2, 3, 4)
    form: Literal["auto", "dual", "primal"] = "auto"
    precision: Literal["float32", "float64"] = "float32"
    screen: Literal["auto", "on", "off", "float32"] = "auto"
    device: str = "auto"
    memory_gb: float = 4.0
    kernel: torch.Tensor | None = field(default=None, repr=False)
    kernel_rows: np.ndarray | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        n, m = len(self.x_train), len(self.x_test)
        for what, length, rows in (
            ("training", sum(self.train_lengths), n),
            ("test", sum(self.test_lengths), m),
        ):
            if length != rows:
                raise ValueError(f"{what} stories have {length} TRs in all, their features {rows} rows")
        if self.y_train.shape[1] != n:
            raise ValueError(f"responses have {self.y_train.shape[1]} TRs, features {n} rows")
        if len(self.alphas) < 1 or np.min(self.alphas) <= 0 or np.any(np.diff(self.alphas) <= 0):
            raise ValueError("alphas must be above 0 and ascend; correct the grid")
        for fold in self.folds:
            if not len(fold.train) or not len(fold.held):
                raise ValueError("a fold trains on nothing or holds nothing out")

    @property
    def n_features(self) -> int:
        """Columns of the delayed matrix."""
        return self.x_train.shape[1] * len(self.delays)

    @property
    def arithmetic(self) -> str:
        """`precision`; float64 where a fold trains on a handful of TRs, which needs it and costs nothing."""
        return "float64" if min(len(fold.train) for fold in self.folds) < FEW_TRS else self.precision

    @cached_property
    def mean_diagonal(self) -> float:
        """Mean diagonal of the kernel: mean squared length of the delayed rows."""
        square = np.einsum("td,td->t", self.x_train, self.x_train, dtype=np.float64)
        total, start = 0.0, 0
        for length in self.train_lengths:
            total += sum(square[start : start + max(length - delay, 0)].sum() for delay in self.delays)
            start += length
        return total / len(self.x_train) if total > 0 else 1.0

    def absolute_alphas(self, diagonal: float | None = None) -> np.ndarray:
        """(A,) float64 alphas, whatever their scale; `diagonal` in place of this kernel's mean diagonal."""
        alphas = np.asarray(self.alphas, np.float64)
        return alphas if self.alpha_scale == "absolute" else alphas * np.sqrt(diagonal or self.mean_diagonal)


class Block(NamedTuple):
    """Answers for a block of voxels.

    Attributes:
        voxels: which.
        valid: (v,) False where responses are constant or not finite; everything else is NaN there.
        alpha_index: (v,) chosen alpha on the grid; -1: none.
        alpha: (v,) float64, absolute.
        cv_r: (v,) float32 mean held-out correlation at that alpha.
        edge: (v,) int8, -1 where the alpha is the grid's smallest, 1 where it is the largest, else 0.
        test_prediction: (v, m) float32, from all training TRs at that alpha.
    """

    voxels: slice
    valid: np.ndarray
    alpha_index: np.ndarray
    alpha: np.ndarray
    cv_r: np.ndarray
    edge: np.ndarray
    test_prediction: np.ndarray

    @classmethod
    def of(
        cls,
        voxels: slice,
        valid: np.ndarray,
        index: np.ndarray,
        alphas: np.ndarray,
        cv_r: np.ndarray,
        prediction: np.ndarray,
    ) -> Block:
        """Answers where responses are valid: index (v,) of the chosen of `alphas`, score and prediction."""
        index, nan = np.where(valid, index, -1), np.float32(np.nan)
        # With one alpha the grid has no edge.
        edge = np.select([index == 0, index == len(alphas) - 1], [-1, 1], 0) * (len(alphas) > 1)
        return cls(
            voxels,
            valid,
            index,
            np.where(valid, alphas[index], np.nan),
            np.where(valid, cv_r.astype(np.float32), nan),
            edge.astype(np.int8),
            np.where(valid[:, None], prediction.astype(np.float32), nan),
        )


class Prediction(NamedTuple):
    """Predictions of some voxels at a given alpha each.

    Attributes:
        voxels: (v,) which.
        oof: (v, n) float32, each training TR predicted by the folds that hold it out; NaN where none does.
        test: (v, m) float32.
    """

    voxels: np.ndarray
    oof: np.ndarray
    test: np.ndarray


class Weights(NamedTuple):
    """Ridge weights of some voxels.

    Attributes:
        voxels: (v,) which.
        values: (v, delays, d), what a feature, so many TRs ago, adds to the response.
    """

    voxels: np.ndarray
    values: np.ndarray
