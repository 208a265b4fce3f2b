"""Every figure of a small study, drawn when it is asked for."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import study_tables as study
import voxel_tables

from voxscale.figures import (
    checks,
    comparisons,
    distributions,
    lags,
    layers,
    maps,
    outlook,
    scaling,
    truth,
)
from voxscale.scores.room import room_rows

CURVES = ["law", "subject", "metric", "voxel_set", "group", "points", "form", "x", "y", "lo", "hi"]


def make_tables():
    """A small study's tables as frames."""
    rng = np.random.default_rng(0)
    summary = study.summary(rng)
    points = pd.concat([study.law_points(summary, law) for law in ("language", "speech", "training")])
    return {
        "summary": summary,
        "points": points,
        "laws": pd.concat([study.laws(part) for _, part in points.groupby("law")]),
        "curves": pd.DataFrame(columns=CURVES),
        "voxels": voxel_tables.voxels(rng, 60),
        "scores": voxel_tables.scores(rng, n=60),
        "layers": study.layers(rng),
        "artifact": study.artifact(rng),
        "drift": study.drift(rng),
        "stacking": voxel_tables.stacking(rng, 60),
        "joint": study.joint(),
        "bits": study.plateau(points),
    }


def law(made, name, **options):
    return scaling.draw_law(
        made["points"], made["laws"], made["curves"], made["summary"], law=name, **options
    )


def room(made):
    return room_rows(made["scores"], made["voxels"])


FIGURES = {
    "lag_scan": lambda t: lags.draw_lags(*study.lags()),
    "score_by_language_model_size": lambda t: law(t, "language"),
    "score_by_speech_model_size": lambda t: law(t, "speech"),
    "score_by_training_hours": lambda t: law(t, "training"),
    "score_by_layer": lambda t: layers.draw_layers(t["layers"], order=list(study.MODELS)),
    "map_scores": lambda t: maps.draw_score_maps(t["scores"].query("subject == 'UTS02'"), t["voxels"]),
    "score_distribution": lambda t: distributions.draw_score_distribution(t["scores"]),
    "comparison": lambda t: comparisons.draw_comparison(
        *voxel_tables.comparison(np.random.default_rng(1), 60), t["voxels"], names=["a", "b"]
    ),
    "asymmetry": lambda t: comparisons.draw_asymmetry(voxel_tables.asymmetry()),
    "map_ceiling": lambda t: maps.draw_ceiling_maps(t["voxels"].query("subject != 'UTS03'"), room(t)),
    "ceiling_distribution": lambda t: distributions.draw_ceiling_distribution(t["voxels"], room(t)),
    "ceiling_drift": lambda t: checks.draw_ceiling_drift(t["drift"]),
    "stacking_gain": lambda t: maps.draw_stacking_gain(t["stacking"], t["voxels"]),
    "variance_partition": lambda t: distributions.draw_variance_partition(t["stacking"], t["voxels"]),
    "long_context_artifact": lambda t: checks.draw_artifact(t["artifact"]),
    "what_next": lambda t: outlook.draw_what_next(*t["joint"]),
    "plateau": lambda t: outlook.draw_plateau(
        t["points"], t["laws"], *t["bits"], arms={"language": "raw features"}
    ),
    "validation": lambda t: truth.draw_validation(study.validation()),
    "controls": lambda t: checks.draw_controls(t["summary"], controls=["llama-7b"]),
}


class Drawn(dict):
    """Every figure drawn once, when it is first asked for, with what it says it plots."""

    def __init__(self, made):
        super().__init__()
        self.made = made

    def __missing__(self, name):
        self[name] = FIGURES[name](self.made)
        return self[name]


def texts(figure):
    return [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_text()]
