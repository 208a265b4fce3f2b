"""What was found beside what is true: the nested line, the noise ceiling, and which model wins where.

Stacks and layers are in `voxscale.phantom.validation_stacks`.
"""

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
from voxscale.phantom.validation_checks import check, near, statement
from voxscale.phantom.validation_stacks import check_layers, check_stacking

POOLED = "pooled"
LEVEL = 0.05  # of the significance test whose false positives are counted
TRUE_FORM = "log_linear"  # of the nested family


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
            check("nested slope per decade", subject, true_slope, slope.estimate, slope.lo, slope.hi)
        )
        # The test TRs are the same for all widths, so that their errors go together and add up in the mean.
        checks.append(check("nested mean score", subject, expected.mean(), *own[["y", "lo", "hi"]].mean()))
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


def check_form(fits: pd.DataFrame) -> list[dict[str, Any]]:
    """Whether the nested family's own form has the least AICc: a statement for each subject.

    Args:
        fits: subject, form, aicc.
    """
    statements = []
    for subject, part in fits.groupby("subject", sort=False):
        criterion = part.groupby("form").aicc.first().dropna()
        if TRUE_FORM in criterion and len(criterion) > 1:
            own, others = criterion[TRUE_FORM], criterion.drop(TRUE_FORM).min()
            statements.append(
                statement("nested law: AICc of other forms above the true one's", subject, others, own)
            )
    return statements


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
        checks.append(near("ceiling, mean error", subject, 0.0, off, slack=0.01))
        inside = (driven.cc_max >= driven.ccmax_lo) & (driven.cc_max <= driven.ccmax_hi)
        # ASSUME: a signal smoother than its noise costs an interval some 0.02 (`scores.ceiling.intervals`).
        checks.append(near("ceiling, coverage", subject, level, inside.to_numpy(float), slack=0.02))
        silent = part[part.region == "silent"].signal_power.to_numpy()
        checks.append(near("silent signal power", subject, 0.0, silent[np.isfinite(silent)]))
    return checks


def check_regions(
    voxels: pd.DataFrame, scores: pd.DataFrame, modality: Mapping[str, str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Which kind of model wins where, whether silent voxels are silent, and whether more training helps.

    Args:
        scores: model, layer, subject, n_train, draw, voxel, r, p.
        modality: model -> language or speech; models of other kinds are not compared.

    Returns:
        checks of silent voxels; and statements: subject, statement, larger, smaller, holds.
    """
    both = scores.merge(voxels[["subject", "voxel", "region"]], on=["subject", "voxel"])
    both["modality"] = both.model.map(modality)
    checks, statements = [], []
    for subject, part in both.groupby("subject"):
        full = part[part.n_train == part.n_train.max()]
        mean = full.groupby(["region", "modality", "model", "layer"]).r.mean()
        best = mean.groupby(["region", "modality"]).max()
        for region, winner, loser in (("language", "language", "speech"), ("auditory", "speech", "language")):
            if {(region, winner), (region, loser)} <= set(best.index):
                told = f"{region} voxels: {winner} models above {loser} models"
                statements.append(statement(told, subject, best[region, winner], best[region, loser]))
        # Voxels err independently, the cells of one voxel do not.
        silent = full[full.region == "silent"]
        mean_r = silent.groupby("voxel").r.mean().to_numpy()
        checks.append(near("silent voxels, mean r", subject, 0.0, mean_r[np.isfinite(mean_r)]))
        tested = silent[silent.p.notna()]
        if len(tested):
            false = (tested.p <= LEVEL).groupby(tested.voxel).mean().to_numpy()
            checks.append(near(f"silent voxels, share of p ≤ {LEVEL}", subject, LEVEL, false))
        language = part[(part.region == "language") & (part.modality == "language")]
        for (model, layer), cell in language.groupby(["model", "layer"]):
            curve = cell.groupby("n_train").r.mean().sort_index()
            for less, more in zip(curve.index[:-1], curve.index[1:], strict=True):
                told = f"{model} layer {layer}: {more} training stories above {less}"
                statements.append(statement(told, subject, curve[more], curve[less]))
    return checks, statements


def validate_phantom(
    truth: str | Path,
    scores: pa.Table,
    ceiling: pa.Table,
    points: pa.Table,
    laws: pa.Table,
    cards: Iterable[Mapping[str, Any]],
    level: float = 0.9,
    stacking: pa.Table | None = None,
    weights: pa.Table | None = None,
    layers: pa.Table | None = None,
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
        stacking, weights: tables `stacking` and `stacking_weights` of all subjects, if models are stacked.
        layers: table `layers`, if layers are profiled.

    Returns:
        what goes into `results/validation.json`: `holds`, `checks` (check, subject, truth, estimate, low,
        high, inside), `statements` (subject, statement, larger, smaller, holds), and `points` and `lines`
        to draw; `statements` and `checks` all hold where `holds` does.
    """
    told, voxels = read_truth(truth, sorted(set(ceiling["subject"].to_pylist())))
    cards = list(cards)
    modality = {card["model"]: card["modality"] for card in cards}
    frame = scores.select(["model", "layer", "subject", "n_train", "draw", "voxel", "r", "p"]).to_pandas()
    nested = told["nested"]
    of_set = f"metric == '{nested['metric']}' and voxel_set == 'roi:{nested['region']}'"
    places = points.to_pandas().query(of_set)
    fits = laws.to_pandas().query(f"{of_set} and points == 'all' and group == 'all'")
    checks, lines = check_nested(told, places, fits[fits.form == TRUE_FORM])
    checks += check_ceiling(voxels, ceiling.to_pandas(), level)
    found = [([], check_form(fits)), check_regions(voxels, frame, modality)]
    if stacking is not None and weights is not None:
        found.append(check_stacking(voxels, stacking.to_pandas(), weights.to_pandas(), modality))
    if layers is not None:
        of_region = layers.to_pandas().query(f"voxel_set == 'roi:{nested['region']}'")
        found.append(([], check_layers(of_region, cards)))
    statements = [row for _, rows in found for row in rows]
    checks += [row for rows, _ in found for row in rows]
    drawn = places[["subject", "x", "y"]].rename(columns={"y": "score"})
    return {
        "holds": all(row["inside"] for row in checks) and all(row["holds"] for row in statements),
        "checks": checks,
        "statements": statements,
        "points": drawn.astype({"x": int, "score": float}).to_dict("records"),
        "lines": lines,
    }
