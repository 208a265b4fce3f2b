"""A scaling law of points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from voxscale.laws.fit import fit_group
from voxscale.laws.forms import FORMS


@dataclass(frozen=True)
class Law:
    """A form fitted to points.

    Attributes:
        form: its name, one of `FORMS`.
        parameters: name -> estimate.
        intervals: name -> (lo, hi), of each parameter and implied quantity; empty without resamples.
        implied: `per_decade`, the rise over the decade around the middle of log x; the same and the rise over
            the whole range in percent of the fitted value at the middle (`percent_per_decade`,
            `percent_over_range`), NaN where that may be 0.
        rss: residual sum of squares.
        largest_error: prediction minus observation at the largest x, by a fit to the other points; NaN if
            these are too few.
    """

    form: str
    parameters: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    implied: Mapping[str, float]
    rss: float
    largest_error: float

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The law at x (points,)."""
        return FORMS[self.form].value(np.asarray(x, float), np.array(list(self.parameters.values())))


def fit_law(
    points: np.ndarray,
    form: str = "log_linear",
    ceiling: float = 1.0,
    resamples: np.ndarray | None = None,
    n_blocks: int | None = None,
    level: float = 0.9,
    over_models: bool = False,
) -> Law:
    """Fit one form of scaling law by least squares.

    Args:
        points: (points, 2), x (model size, hours of data, ...; above 0) and score.
        form: `log_linear`, `power`, `saturating` or `learning_curve`; see `voxscale.laws.FORMS`.
        ceiling: largest plateau.
        resamples: (resamples, points) scores from bootstrap resamples of the test set, for intervals.
        n_blocks: number of independent units of the test set that were resampled; needed with `resamples`.
        level: coverage of the intervals.
        over_models: whether points are models, which may lie off the law: intervals then also hold for other
            models, drawn anew.

    Raises:
        ValueError: an unknown form, points that are not finite, x at or below 0, or too few points.

    >>> x = np.array([1e8, 1e9, 1e10, 1e11])
    >>> law = fit_law(np.stack([x, 0.1 + 0.02 * np.log10(x)], 1))
    >>> {name: round(value, 3) for name, value in law.parameters.items()}
    {'a': 0.1, 'b': 0.02}
    >>> round(float(law.predict([1e12])[0]), 3)
    0.34
    """
    points = np.asarray(points, float)
    if form not in FORMS:
        raise ValueError(f"form {form} is unknown; known are {', '.join(FORMS)}")
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"points have shape {points.shape}; give (points, 2): x and score")
    x, y = points.T
    if not np.isfinite(points).all() or not (x > 0).all():
        raise ValueError("a point is not finite or its x is not above 0; leave it out")
    chosen = FORMS[form]
    if len(np.unique(x)) < len(chosen.parameters):
        raise ValueError(
            f"{form} has {len(chosen.parameters)} parameters, the points {len(np.unique(x))} different x; "
            "give more points"
        )
    studies = y[None]
    if resamples is not None:
        resamples = np.asarray(resamples, float)
        if n_blocks is None or resamples.ndim != 2 or resamples.shape[1] != len(x):
            raise ValueError(
                f"resamples have shape {resamples.shape}; give (resamples, {len(x)}), and n_blocks with them"
            )
        studies = np.concatenate([studies, resamples])
    rows, _ = fit_group(x, studies, ceiling, [form], level, n_blocks or 0, over_models=over_models)
    estimates = {row["parameter"]: row["estimate"] for row in rows}
    return Law(
        form,
        {name: estimates[name] for name in chosen.parameters},
        {} if resamples is None else {row["parameter"]: (row["lo"], row["hi"]) for row in rows},
        {name: value for name, value in estimates.items() if name not in chosen.parameters},
        rows[0]["rss"],
        rows[0]["largest_error"],
    )
