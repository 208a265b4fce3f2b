"""Results of the workflow compared with the phantom's truth: the nested family's line, and all checks."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from voxscale.io import read_json
from voxscale.phantom.checks import (
    TRUE_FORM,
    Findings,
    check_ceiling,
    check_form,
    check_layers,
    check_regions,
    check_stacking,
)
from voxscale.phantom.expectation import fit_line
from voxscale.scores import POOLED


def read_truth(folder: str | Path, subjects: Sequence[str]) -> tuple[dict[str, Any], pd.DataFrame]:
    """The phantom's truth: of the stories and the nested family, and one row per subject and voxel.

    Raises:
        UserError: it does not exist.
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
    return np.mean([line[statement]["r"] for line in lines], axis=0)[places]


def _check_nested(
    found: Findings, nested: Mapping[str, Any], points: pd.DataFrame, fits: pd.DataFrame
) -> list[dict[str, Any]]:
    """Check the nested family's slope and mean score, and give its lines to draw.

    The truth is what ridge reaches with the given training stories; with endless training the line is
    steeper, as wide models lose most with a small training set. That line is drawn too.

    Args:
        nested: of the truth.
        points: subject, x (dimensions), y (mean r over the nested voxels), lo, hi; of each subject.
        fits: subject, parameter (`a`, `b` of a + b log10 x), estimate, lo, hi.

    Returns:
        rows series, x, fit, low, high of the true and the recovered pooled line.
    """
    fitted = fits.set_index(["subject", "parameter"])
    drawn: dict[str, list[dict[str, Any]]] = {"endless training": [], "truth": [], "recovered": []}
    for subject in [*nested["subjects"], POOLED]:
        if (subject, "b") not in fitted.index:
            continue
        slope = fitted.loc[(subject, "b")]
        own = points if subject == POOLED else points[points.subject == subject]
        own = own[own.x.isin(nested["dimensions"])].groupby("x", as_index=False)[["y", "lo", "hi"]].mean()
        at = own.x.astype(int).tolist()
        expected = _expected(nested, subject, "trained", at)
        true_line = fit_line(expected, at)
        found.check("nested slope per decade", subject, true_line[0], slope.estimate, slope.lo, slope.hi)
        # All widths have the same test TRs, so that their errors are correlated and add up in the mean.
        found.check("nested mean score", subject, expected.mean(), *own[["y", "lo", "hi"]].mean())
        if subject != POOLED:
            continue
        intercept = fitted.loc[(subject, "a")].estimate
        endless = fit_line(_expected(nested, subject, "population", at), at)
        centre = np.mean(np.log10(at))
        for x in at:
            for series, (b, a) in (("endless training", endless), ("truth", true_line)):
                drawn[series].append({"x": x, "fit": float(a + b * np.log10(x)), "low": None, "high": None})
            arm = np.log10(x) - centre
            low, high = sorted(intercept + centre * slope.estimate + arm * slope[["lo", "hi"]])
            fit = float(intercept + slope.estimate * np.log10(x))
            drawn["recovered"].append({"x": x, "fit": fit, "low": float(low), "high": float(high)})
    return [{"series": series} | row for series, rows in drawn.items() for row in rows]


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
    """Compare the results of the workflow with the phantom's truth.

    Args:
        truth: folder of the truth.
        scores: rows of table `scores` of every cell that is to be checked.
        ceiling: table `ceiling` of all subjects.
        points, laws: tables `law_points` and `laws` of the nested family over its width.
        cards: of the models in `scores`: model and modality.
        level: of the ceiling's intervals.
        stacking, weights: tables `stacking` and `stacking_weights` of all subjects, if models are stacked.
        layers: table `layers`, if layers are profiled.

    Returns:
        the content of `results/validation.json`: `checks` and `statements` as in `Findings`, `holds` (whether
        they all do), and `points` and `lines` to draw.
    """
    known, voxels = read_truth(truth, sorted(set(ceiling["subject"].to_pylist())))
    nested, cards = known["nested"], list(cards)
    modality = {card["model"]: card["modality"] for card in cards}
    frame = scores.select(["model", "layer", "subject", "n_train", "draw", "voxel", "r", "p"]).to_pandas()
    of_set = f"metric == '{nested['metric']}' and voxel_set == 'roi:{nested['region']}'"
    places = points.to_pandas().query(of_set)
    fits = laws.to_pandas().query(f"{of_set} and points == 'all' and group == 'all'")
    found = Findings()
    lines = _check_nested(found, nested, places, fits[fits.form == TRUE_FORM])
    check_ceiling(found, voxels, ceiling.to_pandas(), level)
    check_form(found, fits)
    check_regions(found, voxels, frame, modality)
    if stacking is not None and weights is not None:
        check_stacking(found, voxels, stacking.to_pandas(), weights.to_pandas(), modality)
    if layers is not None:
        check_layers(found, layers.to_pandas().query(f"voxel_set == 'roi:{nested['region']}'"), cards)
    drawn = places[["subject", "x", "y"]].rename(columns={"y": "score"})
    return {
        "holds": found.hold,
        "checks": found.checks,
        "statements": found.statements,
        "points": drawn.astype({"x": int, "score": float}).to_dict("records"),
        "lines": lines,
    }
