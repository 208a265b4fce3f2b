"""The tables of a made-up study, as a report takes them."""

import numpy as np
import pandas as pd
import pytest
import study_tables as study
import voxel_tables


@pytest.fixture(scope="module")
def tables():
    rng = np.random.default_rng(0)
    summary = study.summary(rng)
    points = pd.concat([study.law_points(summary, law) for law in ("language", "speech", "training")])
    laws = pd.concat([study.laws(part) for _, part in points.groupby("law")])
    return {
        "summary": summary,
        "law_points": points,
        "laws": laws,
        "voxels": voxel_tables.voxels(rng, 40),
        "subjects": study.subjects(),
        "layer_choice": study.layer_choice(),
        "artifact": study.artifact(rng),
        "joint": study.joint()[0],
        "what_next": study.joint()[2],
        "comparison_sets": voxel_tables.comparison(rng, 4)[1],
    }
