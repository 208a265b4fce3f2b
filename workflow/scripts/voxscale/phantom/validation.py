"""What was found beside what is true: the nested line, the noise ceiling, and which model wins where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from voxscale.io import read_json
from voxscale.phantom.expectation import line

POOLED = "pooled"
# Standard errors within which a mean over voxels must lie of its truth: one false alarm in a thousand.
REACH = 3.3


def read_truth(folder: str | Path, subjects: Sequence[str]) -> tuple[dict[str, Any], pd.DataFrame]:
    """The phantom's truth: what is told of the stories and subjects, and one row per subject and voxel.

    Raises:
        UserError: it is not there.
    """
    folder = Path(folder)
    columns = ["subject", "voxel", "roi", "region", "nested", "signal_power", "noise_power", "cc_max"]
    truth = read_json(folder / "stimuli.json")
    lines = {subject: read_json(folder / f"{subject}.json")["nested"] for subject in subjects}
    parts = [pq.ParquetFile(folder / f"{name}.parquet").read(columns=columns) for name in subjects]
    truth["nested"] |= {"subjects": lines}
    return truth, pa.concat_tables(parts).to_pandas()


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


def _expected(nested: Mapping[str, Any], subject: str, statement: str, at: Sequence[int]) -> np.ndarray:
    """True mean score of each width in `at`; pooled is the mean over subjects."""
    every = nested["subjects"]
    lines = every.values() if subject == POOLED else [every[subject]]
    places = [nested["dimensions"].index(d) for d in at]
    return np.mean([lines_[statement]["r"] for lines_ in lines], axis=0)[places]


def check_nested(
    truth: Mapping[str, Any], points: pd.DataFrame, fits: pd.DataFrame
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Checks of the nested family's slope, and lines to draw.

    The truth is what ridge reaches with the training stories at hand; with endless training the line is
    steeper, as wide models lose most to a small training set. That line is drawn too.

    Args:
        points: subject, x (dimensions), y (mean r over the nested voxels), lo, hi; of each subject.
        fits: subject, parameter (`a`, `b` of a + b log10 x), estimate, lo, hi.

    Returns:
        checks; and rows series, x, fit, low, high of the true and the recovered pooled line.
    """
    nested = truth["nested"]
    checks, drawn = [], []
    fitted = fits.set_index(["subject", "parameter"])
    for subject in [*nested["subjects"], POOLED]:
        if (subject, "b") not in fitted.index:
            continue
        slope = fitted.loc[(subject, "b")]
        own = points[points.subject == subject] if subject != POOLED else points
        own = own[own.x.isin(nested["dimensions"])].groupby("x", as_index=False)[["y", "lo", "hi"]].mean()
        at = own.x.astype(int).tolist()
        expected = _expected(nested, subject, "trained", at)
        true_slope, true_intercept = line(expected, at)
        checks.append(
            _check("nested slope per decade", subject, true_slope, slope.estimate, slope.lo, slope.hi)
        )
        # The test TRs are the same for all widths, so that their errors go together and add up in the mean.
        checks.append(_check("nested mean score", subject, expected.mean(), *own[["y", "lo", "hi"]].mean()))
        if subject == POOLED:
            intercept = fitted.loc[(subject, "a")]
            endless = line(_expected(nested, subject, "population", at), at)
            centre = np.mean(np.log10(at))
            for x in at:
                arm = np.log10(x) - centre
                band = sorted(intercept.estimate + centre * slope.estimate + arm * slope[["lo", "hi"]])
                fit = intercept.estimate + slope.estimate * np.log10(x)
                for series, (b, a) in (
                    ("endless training", endless),
                    ("truth", (true_slope, true_intercept)),
                ):
                    straight = {"x": x, "fit": float(a + b * np.log10(x)), "low": None, "high": None}
                    drawn.append({"series": series} | straight)
                drawn.append(
                    {"series": "recovered", "x": x, "fit": float(fit)}
                    | {"low": float(band[0]), "high": float(band[1])}
                )
    order = ("endless training", "truth", "recovered")
    return checks, sorted(drawn, key=lambda row: (order.index(row["series"]), row["x"]))


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
    points: pa.Table,
    laws: pa.Table,
    cards: Iterable[Mapping[str, Any]],
    level: float = 0.9,
) -> dict[str, Any]:
    """Compare what the workflow found with the phantom's truth.

    Args:
        truth: folder of the truth.
        scores: rows of table `scores` of every cell that is to be looked at.
        ceiling: table `ceiling` of all subjects.
        points: table `law_points` of the nested family over its width.
        laws: table `laws` of the same.
        cards: of the models in `scores`: model and modality.
        level: of the ceiling's intervals.

    Returns:
        what goes into `results/validation.json`: `holds`, `checks` (check, subject, truth, estimate, low,
        high, inside), `statements` (subject, statement, larger, smaller, holds), and `points` and `lines`
        to draw; `statements` and `checks` all hold where `holds` does.
    """
    told, voxels = read_truth(truth, sorted(set(ceiling["subject"].to_pylist())))
    modality = {card["model"]: card["modality"] for card in cards}
    frame = scores.select(["model", "layer", "subject", "n_train", "draw", "voxel", "r"]).to_pandas()
    nested = told["nested"]
    of_set = f"metric == '{nested['metric']}' and voxel_set == 'roi:{nested['region']}'"
    places = points.to_pandas().query(of_set)
    fits = laws.to_pandas().query(f"{of_set} and form == 'log_linear' and points == 'all' and group == 'all'")
    slopes, lines = check_nested(told, places, fits)
    silent, statements = check_regions(voxels, frame, modality)
    checks = slopes + check_ceiling(voxels, ceiling.to_pandas(), level) + silent
    drawn = places[["subject", "x", "y"]].rename(columns={"y": "score"})
    return {
        "holds": all(row["inside"] for row in checks) and all(row["holds"] for row in statements),
        "checks": checks,
        "statements": statements,
        "points": drawn.astype({"x": int, "score": float}).to_dict("records"),
        "lines": lines,
    }
