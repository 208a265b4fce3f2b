"""What was found beside what is true: the nested line, the noise ceiling, and which model wins where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from voxscale.errors import UserError
from voxscale.io import read_json
from voxscale.phantom.expectation import line

POOLED = "pooled"
# Standard errors within which a mean over voxels must lie of its truth: one false alarm in a thousand.
REACH = 3.3


def read_truth(folder: str | Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """The phantom's truth: `truth.json`, and one row per subject and voxel.

    Raises:
        UserError: it is not there.
    """
    truth = read_json(Path(folder) / "truth.json")
    columns = ["subject", "voxel", "roi", "region", "nested", "signal_power", "noise_power", "cc_max"]
    parts = []
    for subject in truth["settings"]["subjects"]:
        path = Path(folder) / f"{subject}.parquet"
        if not path.exists():
            raise UserError(f"{path}: no such file; write the phantom again")
        parts.append(pq.ParquetFile(path).read(columns=columns).to_pandas())
    return truth, pd.concat(parts, ignore_index=True)


def _check(name: str, subject: str, truth: float, estimate: float, low: float, high: float) -> dict[str, Any]:
    return {
        "check": name,
        "subject": subject,
        "truth": float(truth),
        "estimate": float(estimate),
        "low": float(low),
        "high": float(high),
        "inside": bool(low <= truth <= high),
    }


def _near(name: str, subject: str, truth: float, values: np.ndarray, slack: float = 0.0) -> dict[str, Any]:
    """Whether the mean of independent `values` is `truth`, give or take its standard error and `slack`."""
    reach = REACH * values.std(ddof=1) / np.sqrt(len(values)) + slack
    return _check(name, subject, truth, values.mean(), values.mean() - reach, values.mean() + reach)


def check_nested(
    truth: Mapping[str, Any], points: pd.DataFrame, fits: pd.DataFrame
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Checks of the nested family's slope, and lines to draw.

    Args:
        points: subject, x (dimensions), score: mean r over the nested voxels.
        fits: subject, parameter (`a`, `b` of a + b log10 x), estimate, lo, hi.

    Returns:
        checks; and rows series, x, fit, low, high of the true and the recovered pooled line.
    """
    nested = truth["nested"]
    expected = nested["subjects"] | {POOLED: nested["pooled"]}
    checks, drawn = [], []
    fitted = fits.set_index(["subject", "parameter"])
    for subject, statements in expected.items():
        if (subject, "b") not in fitted.index:
            continue
        slope = fitted.loc[(subject, "b")]
        trained = dict(zip(nested["dimensions"], statements["trained"]["r"], strict=True))
        own = points if subject == POOLED else points[points.subject == subject]
        at = [int(d) for d in sorted(own.x.unique()) if d in trained]
        true_slope, true_intercept = line(np.array([trained[d] for d in at]), at)
        checks.append(
            _check("nested slope per decade", subject, true_slope, slope.estimate, slope.lo, slope.hi)
        )
        # The fit passes through the mean of its points, where slope and offset are independent.
        middle = np.mean([trained[d] for d in at])
        found = own.groupby("x").score.mean()[at].mean()
        checks.append(_check("nested mean score", subject, middle, found, found - 0.03, found + 0.03))
        if subject == POOLED:
            intercept = fitted.loc[(subject, "a")]
            centre = np.mean(np.log10(at))
            for x in at:
                arm = np.log10(x) - centre
                band = sorted(intercept.estimate + centre * slope.estimate + arm * slope[["lo", "hi"]])
                fit = intercept.estimate + slope.estimate * np.log10(x)
                true = true_intercept + true_slope * np.log10(x)
                drawn += [
                    {"series": "truth", "x": x, "fit": float(true), "low": None, "high": None},
                    {"series": "recovered", "x": x, "fit": float(fit)}
                    | {"low": float(band[0]), "high": float(band[1])},
                ]
    return checks, sorted(drawn, key=lambda row: (row["series"] != "truth", row["x"]))


def check_ceiling(voxels: pd.DataFrame, ceiling: pd.DataFrame, level: float) -> list[dict[str, Any]]:
    """Checks of the noise ceiling: its mean, and how often its interval of `level` holds the truth.

    Args:
        voxels: the truth of every voxel.
        ceiling: subject, voxel, signal_power, noise_power, ccmax, ccmax_lo, ccmax_hi, reliable.
    """
    both = voxels.merge(ceiling, on=["subject", "voxel"], suffixes=("_true", ""))
    checks = []
    for subject, part in both.groupby("subject"):
        driven = part[(part.region != "silent") & part.reliable & np.isfinite(part.ccmax)]
        # ASSUME: CCmax is a curved function of the powers, which moves its mean by less than 0.01.
        off = driven.ccmax.to_numpy() - driven.cc_max.to_numpy()
        checks.append(_near("ceiling, mean error", subject, 0.0, off, slack=0.01))
        inside = (driven.cc_max >= driven.ccmax_lo) & (driven.cc_max <= driven.ccmax_hi)
        # ASSUME: a jackknife over ten repeats may miss its level by 0.05.
        checks.append(_near("ceiling, coverage", subject, level, inside.to_numpy(float), slack=0.05))
        silent = part[part.region == "silent"].signal_power.to_numpy()
        checks.append(_near("silent signal power", subject, 0.0, silent[np.isfinite(silent)]))
    return checks


def check_regions(
    voxels: pd.DataFrame, scores: pd.DataFrame, modality: Mapping[str, str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Which kind of model wins where, whether silent voxels are silent, and whether more training helps.

    Args:
        scores: model, layer, subject, n_train, draw, voxel, r.
        modality: model -> language or speech; models of other kinds are not compared.

    Returns:
        checks of silent voxels; and statements: subject, statement, larger, smaller, holds.
    """
    both = scores.merge(voxels[["subject", "voxel", "region"]], on=["subject", "voxel"])
    both["modality"] = both.model.map(modality)
    checks, statements = [], []

    def state(subject: str, statement: str, larger: float, smaller: float) -> None:
        row = {"subject": subject, "statement": statement, "larger": float(larger), "smaller": float(smaller)}
        statements.append(row | {"holds": bool(larger > smaller)})

    for subject, part in both.groupby("subject"):
        full = part[part.n_train == part.n_train.max()]
        mean = full.groupby(["region", "modality", "model", "layer"]).r.mean()
        best = mean.groupby(["region", "modality"]).max()
        for region, winner, loser in (("language", "language", "speech"), ("auditory", "speech", "language")):
            if {(region, winner), (region, loser)} <= set(best.index):
                statement = f"{region} voxels: {winner} models above {loser} models"
                state(subject, statement, best[region, winner], best[region, loser])
        silent = full[full.region == "silent"].groupby("voxel").r.mean().to_numpy()
        checks.append(_near("silent voxels, mean r", subject, 0.0, silent[np.isfinite(silent)]))
        language = part[(part.region == "language") & (part.modality == "language")]
        for (model, layer), cell in language.groupby(["model", "layer"]):
            curve = cell.groupby("n_train").r.mean().sort_index()
            for less, more in zip(curve.index[:-1], curve.index[1:], strict=True):
                statement = f"{model} layer {layer}: {more} training stories above {less}"
                state(subject, statement, curve[more], curve[less])
    return checks, statements


def validate(
    truth: str | Path,
    scores: pa.Table,
    ceiling: pa.Table,
    laws: pa.Table,
    cards: Iterable[Mapping[str, Any]],
    level: float = 0.9,
) -> dict[str, Any]:
    """Compare what the workflow found with the phantom's truth.

    Args:
        truth: folder of the truth.
        scores: rows of table `scores` of every cell that is to be looked at.
        ceiling: table `ceiling` of all subjects.
        laws: table `laws`: the log-linear fit to mean r of the nested family over its width.
        cards: of the models in `scores`: model, modality, and width of the nested ones.
        level: of the ceiling's intervals.

    Returns:
        what goes into `results/validation.json`: `holds`, `checks` (check, subject, truth, estimate, low,
        high, inside), `statements` (subject, statement, larger, smaller, holds), and `points` and `lines`
        to draw; `statements` and `checks` all hold where `holds` does.
    """
    told, voxels = read_truth(truth)
    modality = {card["model"]: card["modality"] for card in cards}
    width = {card["model"]: card["width"] for card in cards if card["modality"] == "nested"}
    frame = scores.select(["model", "layer", "subject", "n_train", "draw", "voxel", "r"]).to_pandas()
    nested = frame[frame.model.isin(list(width))].merge(
        voxels.loc[voxels.nested, ["subject", "voxel"]], on=["subject", "voxel"]
    )
    nested["x"] = nested.model.map(width)
    nested = nested[nested.n_train == nested.groupby("subject").n_train.transform("max")]
    points = nested.groupby(["subject", "x"], as_index=False).r.mean().rename(columns={"r": "score"})
    region = told["nested"]["region"]
    fits = laws.to_pandas()
    fits = fits[
        (fits.metric == told["nested"]["metric"])
        & (fits.form == "log_linear")
        & (fits.points == "all")
        & (fits.voxel_set == f"roi:{region}")
    ]
    slopes, lines = check_nested(told, points, fits)
    silent, statements = check_regions(voxels, frame, modality)
    checks = slopes + check_ceiling(voxels, ceiling.to_pandas(), level) + silent
    return {
        "holds": all(row["inside"] for row in checks) and all(row["holds"] for row in statements),
        "checks": checks,
        "statements": statements,
        "points": points.astype({"x": int, "score": float}).to_dict("records"),
        "lines": lines,
    }
