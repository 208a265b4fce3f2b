"""The tables of the made-up study of `study_tables` that have a row for each voxel, or follow from such."""

import numpy as np
import pandas as pd
from study_tables import FULL, ROIS, SUBJECTS, frame

from voxscale.io import tables


def voxels(rng: np.random.Generator, n: int = 400) -> pd.DataFrame:
    rows = []
    for subject in SUBJECTS:
        for voxel in range(n):
            rows.append(
                {
                    "subject": subject,
                    "voxel": voxel,
                    "hemisphere": ("left", "right")[voxel % 2],
                    "vertex": int(rng.integers(10242)),
                    "roi": ROIS[voxel % 4],
                    "ccmax": float(rng.beta(3, 2)),
                    "explainable": 0.3,
                    "reliable": bool(rng.random() < 0.7),
                    "scored": True,
                    "decile": 1,
                    "significant": bool(rng.random() < 0.5),
                    "reference": "opt-30b/36",
                }
            )
    return frame("voxels", rows)


def scores(rng: np.random.Generator, models=("opt-30b", "whisper-large"), n: int = 400) -> pd.DataFrame:
    rows = []
    for model in models:
        for subject in SUBJECTS:
            r = np.clip(rng.normal(0.05, 0.08, n) + rng.gamma(0.5, 0.12, n), -1, 0.9)
            r[0] = np.nan
            same = {"model": model, "layer": 3, "subject": subject, "n_train": FULL, "draw": 0}
            same |= {"alpha": 1.0, "p": 0.01, "train_trs": 9000, "train_hours": 5.0, "n_features": 3072}
            rows += [
                same | {"voxel": i, "r": r[i], "r_uncut": r[i] * 1.1, "r_ceiling": r[i], "cv_r": r[i] * 0.95}
                for i in range(n)
            ]
    return frame("scores", rows)


def comparison(rng: np.random.Generator, n: int = 400) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of a comparison in which the first fit is better by .05."""
    parts, sets = [], []
    for subject in (*SUBJECTS, "pooled"):
        about = {"comparison": "two", "subject": subject}
        ends = {"a": 0.15, "b": 0.1, "difference": 0.05, "lo": 0.02, "hi": 0.08, "p": 0.01, "n_voxels": n}
        sets += [
            about | ends | {"voxel_set": name, "metric": "r", "q": 0.02 if name.startswith("roi") else np.nan}
            for name in ("all", "roi:auditory", "roi:language")
        ]
        if subject != "pooled":
            r = rng.normal(0.1, 0.08, n)
            part = pd.DataFrame(about | {"voxel": range(n), "r_a": r + 0.05, "r_b": r, "difference": 0.05})
            parts.append(part.assign(lo=0.01, hi=0.09, p=0.02, q=0.04))
    return pd.concat(parts)[tables.SCHEMAS["comparison"].names], frame("comparison_sets", sets)


def asymmetry() -> pd.DataFrame:
    """Table `asymmetry`: the left side is better by .03."""
    rows = [
        {"model": model, "layer": 3, "subject": subject, "region": region, "metric": "r", "left": 0.13}
        | {"right": 0.1, "difference": 0.03, "lo": 0.01, "hi": 0.05, "n_left": 40, "n_right": 50}
        for model in ("opt-30b", "whisper-large")
        for subject in (*SUBJECTS, "pooled")
        for region in ("V1", "STS")
    ]
    return frame("asymmetry", rows)


def stacking(rng: np.random.Generator, n: int = 400) -> pd.DataFrame:
    rows = []
    for subject in SUBJECTS:
        for voxel in range(n):
            language, speech = ((0.01, 0.08), (0.05, 0.04), (0.09, 0.01), (0.0, 0.0))[voxel % 4]
            gain = speech * rng.random() + rng.normal(0, 0.005)
            rows.append(
                {"subject": subject, "voxel": voxel, "best": "opt-30b", "r_best": 0.2, "r_language": 0.2}
                | {"r_stacked": 0.2 + gain, "r_speech": 0.15}
                | {"gain": gain, "gain_lo": gain - 0.01, "gain_hi": gain + 0.01}
                | {"unique_language": language, "unique_speech": speech, "shared": 0.01, "r2_joint": 0.1}
            )
    return frame("stacking", rows)
