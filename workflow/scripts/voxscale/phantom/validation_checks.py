"""The two kinds of comparison with a known truth, and how each is told."""

from __future__ import annotations

from typing import Any

import numpy as np

# Standard errors within which a mean over voxels must lie of its truth: one false alarm in a thousand.
REACH = 3.3


def check(name: str, subject: str, truth: float, estimate: float, low: float, high: float) -> dict[str, Any]:
    """A number whose interval must hold its truth."""
    return {
        "check": name,
        "subject": subject,
        "truth": float(truth),
        "estimate": float(estimate),
        "low": float(low),
        "high": float(high),
        "inside": bool(low <= truth <= high),
    }


def near(name: str, subject: str, truth: float, values: np.ndarray, slack: float = 0.0) -> dict[str, Any]:
    """Whether the mean of independent `values` is `truth`, give or take its standard error and `slack`."""
    reach = REACH * values.std(ddof=1) / np.sqrt(len(values)) + slack
    return check(name, subject, truth, values.mean(), values.mean() - reach, values.mean() + reach)


def statement(told: str, subject: str, larger: float, smaller: float) -> dict[str, Any]:
    """An order of two numbers that the truth implies."""
    row = {"subject": subject, "statement": told, "larger": float(larger), "smaller": float(smaller)}
    return row | {"holds": bool(larger > smaller)}
