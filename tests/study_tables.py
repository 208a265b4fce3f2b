"""The tables of a small made-up study, for tests of what reads them."""

import numpy as np
import pandas as pd

from voxscale.io import tables

SUBJECTS = ("UTS01", "UTS02", "UTS03")
MODELS = {
    # model: family, modality, parameters, layers
    "opt-125m": ("OPT", "language", 125_000_000, 12),
    "opt-1.3b": ("OPT", "language", 1_300_000_000, 24),
    "opt-13b": ("OPT", "language", 13_000_000_000, 40),
    "opt-30b": ("OPT", "language", 30_000_000_000, 48),
    "llama-7b": ("LLaMA", "language", 6_700_000_000, 32),
    "llama-33b": ("LLaMA", "language", 33_000_000_000, 60),
    "whisper-tiny": ("Whisper", "speech", 8_000_000, 4),
    "whisper-large": ("Whisper", "speech", 640_000_000, 32),
    "hubert-base": ("HuBERT", "speech", 95_000_000, 12),
    "word_rate": ("control", "control", None, 0),
    "mel": ("control", "control", None, 0),
}
ROIS = ("auditory", "sts", "language", "other")
SETS = ("all", "significant", *(f"roi:{roi}" for roi in ROIS))
FULL = 27


def level(model: str) -> float:
    """The mean signed r² that the made-up study gives a model."""
    _, modality, size, _ = MODELS[model]
    if size is None:
        return 0.004
    return 0.02 + (0.004 if modality == "language" else 0.006) * np.log10(size / 1e8)


def frame(name: str, rows: list[dict]) -> pd.DataFrame:
    """Rows as a frame that the schema accepts, missing columns filled with empty values."""
    schema = tables.SCHEMAS[name]
    found = pd.DataFrame(rows)
    for field in schema:
        if field.name not in found:
            kind = str(field.type)
            found[field.name] = (
                None if field.nullable else "" if kind == "string" else False if kind == "bool" else 0
            )
    return found[schema.names]


def summary(rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for model, (family, modality, size, n_layers) in MODELS.items():
        for i, subject in enumerate(SUBJECTS):
            sizes = [(n, d) for n in (3, 8, 16) for d in range(5)] if model == "opt-1.3b" else []
            for n_train, draw in [*sizes, (FULL, 0)]:
                for voxel_set in SETS:
                    r2 = level(model) * (1 + 0.1 * i) + 0.01 * np.log10(n_train / FULL) + rng.normal(0, 5e-4)
                    rows.append(
                        {
                            "model": model,
                            "layer": int(0.75 * n_layers),
                            "subject": subject,
                            "n_train": n_train,
                            "draw": draw,
                            "voxel_set": voxel_set,
                            "family": family,
                            "modality": modality,
                            "parameters": size,
                            "parameters_non_embedding": size and int(size * 0.9),
                            "n_layers": n_layers,
                            "width": 768,
                            "depth": 0.75,
                            "train_trs": 340 * n_train,
                            "train_hours": 340 * n_train / 1800,
                            "n_features": 3072,
                            "wide": n_train == 3,
                            "n_voxels": 1500,
                            "n_nan": 2 if subject == "UTS02" else 0,
                            "mean_r": r2 * 4,
                            "mean_r2": r2,
                            "median_r": r2,
                            "max_r": 0.7,
                            "mean_r_uncut": r2 * 4.4,
                            "mean_cv_r": r2 * 3.9,
                            "mean_ccnorm": 0.5,
                            "share_significant": 0.4,
                            "share_alpha_edge": 0.08 if model == "mel" else 0.01,
                            "share_alpha_low": 0.01,
                        }
                    )
    frame = pd.DataFrame(rows)
    # As a Parquet column of whole numbers with gaps is read.
    frame = frame.astype({"parameters": float, "parameters_non_embedding": float})
    return frame[tables.SCHEMAS["summary"].names]


def law_points(summary: pd.DataFrame, law: str) -> pd.DataFrame:
    """Points of the law `language`, `speech` or `training`, of every subject and pooled."""
    full = summary[summary.n_train == FULL]
    rows, x_name = {
        "language": (full[full.modality == "language"], "parameters"),
        "speech": (full[full.modality == "speech"], "parameters"),
        "training": (summary[summary.model == "opt-1.3b"], "hours"),
    }[law]
    rows = rows.assign(x=(rows.train_hours if law == "training" else rows.parameters).astype(float))
    keys = ["voxel_set", "model", "family", "layer", "n_train"]
    cells = rows.groupby(["subject", *keys], as_index=False).agg(
        x=("x", "mean"),
        r=("mean_r", "mean"),
        r2=("mean_r2", "mean"),
        wide=("wide", "any"),
        n_draws=("draw", "count"),
    )
    pooled = cells.groupby(keys, as_index=False).agg(
        x=("x", "mean"),
        r=("r", "mean"),
        r2=("r2", "mean"),
        wide=("wide", "any"),
        n_draws=("n_draws", "first"),
    )
    cells = pd.concat([cells, pooled.assign(subject="pooled")])
    cells["group"] = cells.model if law == "training" else cells.family
    long = cells.melt([c for c in cells if c not in ("r", "r2")], ["r", "r2"], "metric", "y")
    long = long.assign(law=law, x_name=x_name, lo=long.y * 0.95, hi=long.y * 1.05, layer_choice="fixed")
    long = long.assign(n_voxels=400, n_left_out=0)
    return long[tables.SCHEMAS["law_points"].names]


def laws(points: pd.DataFrame) -> pd.DataFrame:
    """A log-linear fit of every subject, metric and set, and a saturating one that is preferred."""
    rows = []
    law = points.law.iloc[0]
    for (subject, metric, voxel_set), part in points.groupby(["subject", "metric", "voxel_set"]):
        b, a = np.polyfit(np.log10(part.x), part.y, 1)
        middle = np.sqrt(part.x.min() * part.x.max())
        base = a + b * np.log10(middle)
        text = f"fitted value at x = {middle:.4g}, the middle of the points"
        quantities = {
            "log_linear": {"a": a, "b": b, "per_decade": b, "percent_per_decade": 100 * b / base},
            "saturating": {
                "c": base + 2 * b,
                "a": 2 * b * part.x.min() ** 0.3,
                "alpha": 0.3,
                "per_decade": b,
            },
        }
        for form, values in quantities.items():
            for parameter, value in values.items():
                rows.append(
                    {
                        "law": law,
                        "subject": subject,
                        "metric": metric,
                        "voxel_set": voxel_set,
                        "group": "opt-1.3b" if law == "training" else "all",
                        "points": "all",
                        "form": form,
                        "parameter": parameter,
                        "estimate": value,
                        "lo": value * 0.8,
                        "hi": value * 1.2,
                        "test_lo": value * 0.9,
                        "test_hi": value * 1.1,
                        "base": text if parameter.startswith("percent") else None,
                        "n_points": len(part),
                        "rss": 1e-6,
                        "aicc": -40.0 if form == "log_linear" else -42.0,
                        "largest_error": 0.001,
                        "preferred": form == "saturating",
                        "at_bound": False,
                        "left_out": None,
                        "lacking": None,
                    }
                )
    return frame("laws", rows)


def layers(rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for model, (family, modality, _, n) in MODELS.items():
        if modality != "language":
            continue
        for subject in SUBJECTS:
            for layer in range(0, n + 1, 4):
                r2 = 0.02 + 0.02 * np.sin(0.7 * np.pi * layer / n) + rng.normal(0, 5e-4)
                rows.append(
                    {"model": model, "layer": layer, "subject": subject, "voxel_set": "all", "family": family}
                    | {"depth": layer / n, "mean_r": 3 * r2, "mean_r2": r2, "mean_cv_r": 3 * r2}
                    | {"r_lo": 2.7 * r2, "r_hi": 3.3 * r2, "r2_lo": 0.9 * r2, "r2_hi": 1.1 * r2}
                    | {"chosen": layer == n * 3 // 4 // 4 * 4, "best_on_test": layer == n}
                )
    return frame("layers", rows)


def layer_choice() -> pd.DataFrame:
    rows = [
        {"model": model, "subject": subject, "voxel_set": "all", "unit": unit, "metric": "r2"}
        | {"by_cv": 0.04, "by_test": 0.042, "optimism": 0.002}
        for model in ("opt-30b", "llama-33b")
        for subject in SUBJECTS
        for unit in ("set", "voxel")
    ]
    return frame("layer_choice", rows)


def artifact(rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for model, layer in (("opt-30b", 36), ("whisper-large", 24)):
        for subject in SUBJECTS:
            for voxel_set in SETS:
                for cut in range(0, 121, 10):
                    at, own = (0.1 * (1 + 0.2 * np.exp(-seconds / 40)) for seconds in (cut, 100))
                    y, wide = at + rng.normal(0, 1e-3), 4e-5 * abs(cut - 100)
                    rows.append(
                        {"model": model, "layer": layer, "subject": subject, "voxel_set": voxel_set}
                        | {"metric": "r"}
                        | {"cut_s": float(cut), "y": y, "lo": y - 0.01, "hi": y + 0.01}
                        | {"percent": 100 * (at - own) / own}
                        | {"difference": at - own, "difference_lo": at - own - wide}
                        | {"difference_hi": at - own + wide}
                    )
    return frame("artifact", rows)


def drift(rng: np.random.Generator) -> pd.DataFrame:
    rows = [
        {
            "subject": subject,
            "roi": roi,
            "repeat": k,
            "r": 0.4 - 0.01 * k + rng.normal(0, 0.01),
            "n_voxels": 100,
        }
        for subject in SUBJECTS
        for roi in ("all", *ROIS[:3])
        for k in range(1, 11)
    ]
    return frame("drift", rows)


def lags() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of the lag scan: in the first subject one story is 4 s late."""
    shifts, rows, curves = np.arange(-10.0, 11.0), [], []
    for subject in SUBJECTS:
        for story in ("adollshouse", "avatar", "wheretheressmoke", "all stories"):
            best = 4.0 if (subject, story) == (SUBJECTS[0], "avatar") else 0.0
            r = 0.05 * np.exp(-(((shifts - best) / 3) ** 2))
            names = {"subject": subject, "story": story}
            ends = {
                "best_s": best,
                "best_lo": best - 1,
                "best_hi": best + 1,
                "r_best": 0.05,
                "others_s": 0.0,
                "r_others": r[10],
            }
            rows.append(names | {"role": "train", "n_tr": 300, "misaligned": best > 0} | ends)
            curves += [
                names | {"shift_s": shift, "r": value, "lo": value - 0.01, "hi": value + 0.01}
                for shift, value in zip(shifts, r, strict=True)
            ]
            if story == "all stories":
                rows[-1]["role"] = "all"
    return frame("lags", rows), frame("lag_curves", curves)


def joint() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """`joint`, `joint_surface` and `what_next`: a plane over the logarithms, its measured points on it."""

    def score(n, d):
        return 0.01 + 0.004 * np.log10(n / 1e8) + 0.012 * np.log10(d / 0.5)

    surface, options = [], []
    for subject in (*SUBJECTS, "pooled"):
        key = {"subject": subject, "metric": "r2", "voxel_set": "all", "form": "bilinear"}
        grid = [(n, d) for n in np.geomspace(1.25e8, 6e10, 13) for d in np.geomspace(0.5, 10, 13)]
        measured = [(n, d) for n in (1.25e8, 1.3e9, 3e10) for d in (0.5, 1.7, 5.0)]
        for n, d in [*grid, *measured]:
            seen = score(n, d) if (n, d) in measured else np.nan
            surface.append(
                key
                | {"parameters": n, "hours": d, "fitted": score(n, d), "observed": seen}
                | {"lo": score(n, d) - 0.002, "hi": score(n, d) + 0.002}
            )
        for option, gain in (
            ("one more hour", 9e-4),
            ("twice the hours", 4e-3),
            ("twice the parameters", 1e-3),
        ):
            for unit, factor in (("metric", 1), ("% of the fitted score now", 2500)):
                options.append(
                    key
                    | {"option": option, "unit": unit, "gain": gain * factor}
                    | {"lo": 0.7 * gain * factor, "hi": 1.3 * gain * factor}
                )
        options.append(
            key
            | {"option": "hours worth twice the parameters", "unit": "h", "gain": 1.2, "lo": 1.0, "hi": 2.0}
        )
    options.append(
        {"subject": "pooled", "metric": "r2", "voxel_set": "all", "form": "none"}
        | {"option": "another subject", "unit": "half width of the mean's interval"}
        | {"gain": -4e-3, "lo": -9e-3, "hi": -2e-3}
    )
    fits = pd.DataFrame(surface).drop_duplicates("subject")[["subject", "metric", "voxel_set", "form"]]
    fits = fits.assign(n_parameters=4, n_points=12, preferred=True).to_dict("records")
    return tuple(map(frame, ("joint", "joint_surface", "what_next"), (fits, surface, options)))


def plateau(points: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`plateau` and `plateau_fits` of the language law."""
    points = points[points.law == "language"]
    rows = points.assign(family=points.group, bits_per_character=2 - 0.1 * np.log10(points.x))
    keys = ["law", "subject", "metric", "voxel_set"]
    fits = points[keys].drop_duplicates().assign(left_out_rmse=0.001, spread=0.004, n_points=6)
    fits = pd.concat([fits.assign(predictor=name) for name in ("size", "bits", "size and bits")])
    return rows[tables.SCHEMAS["plateau"].names], fits[tables.SCHEMAS["plateau_fits"].names]


def validation() -> dict:
    """What is compared with the truth: one check of five that fails."""
    dims = (1, 2, 4, 8, 16, 32)
    points = [
        {"subject": s, "x": d, "score": 0.1 + 0.06 * np.log10(d) + 0.002 * i}
        for i, s in enumerate(SUBJECTS)
        for d in dims
    ]
    lines = [
        {"series": series, "x": d, "fit": 0.1 + slope * np.log10(d)}
        | {"low": low and 0.09 + slope * np.log10(d), "high": low and 0.11 + slope * np.log10(d)}
        for series, slope, low in (("truth", 0.06, None), ("recovered", 0.062, True))
        for d in dims
    ]
    checks = [
        {"check": name, "subject": subject, "truth": truth, "estimate": 0.5, "low": 0.4, "high": 0.6}
        | {"inside": 0.4 <= truth <= 0.6}
        for name, subject, truth in (
            ("nested slope per decade", "pooled", 0.55),
            ("nested slope per decade", "UTS01", 0.45),
            ("ceiling, mean error", "UTS01", 0.5),
            ("ceiling, coverage", "UTS02", 0.58),
            ("silent voxels, mean r", "UTS03", 0.7),
        )
    ]
    statement = {"subject": "UTS01", "statement": "language voxels: language models above speech models"}
    statements = [statement | {"larger": 0.3, "smaller": 0.2, "holds": True}]
    return {"holds": False, "points": points, "lines": lines, "checks": checks, "statements": statements}


def subjects() -> pd.DataFrame:
    rows = [
        {"subject": subject, "story": story, "role": role, "n_tr": 340, "hours": 340 / 1800, "n_words": 800}
        | {"stimulus_sha": "0" * 16}
        for subject in SUBJECTS
        for role, story in [("train", f"story{i}") for i in range(FULL)] + [("test", "wheretheressmoke")]
    ]
    return frame("subjects", rows)


def write(name: str, frame: pd.DataFrame, path) -> None:
    """Write a frame as the study's own table of that name; NaN stays NaN, only None is empty."""
    columns = {
        field.name: [
            None if field.nullable and pd.isna(value) else value for value in frame[field.name].tolist()
        ]
        for field in tables.SCHEMAS[name]
    }
    tables.write(name, columns, path)
