"""Means over subjects: `all` with `all`, one set of voxels, and nothing left out in silence."""

import numpy as np
import pytest

from voxscale.laws.fit import _law_rows, with_pool
from voxscale.laws.points import Point
from voxscale.laws.pooling import pool

STORIES = {"UTS01": 93, "UTS02": 98, "UTS03": 98}
ASKED = [2, 4, 8, "all"]
SPEC = {"n_train": ASKED, "stories": STORIES}


def point(n_train, r, model="m", sets=("all",), x=None, **about):
    rng = np.random.default_rng(n_train)
    y = (r + np.concatenate([[0], 0.005 * rng.normal(size=50)]))[:, None] * [1, 0.2]
    known = {"model": model, "layer": 3, "n_train": n_train, "wide": False, "family": "f", "n_draws": 1}
    return Point(
        known | about,
        x or float(n_train),
        30,
        {name: y for name in sets},
        {name: np.ones(2) for name in sets},
        {name: (100, 0) for name in sets},
    )


def law_of(stories, subject):
    return 0.02 + 0.083 * np.log10(stories) + 0.01 * list(STORIES).index(subject)


@pytest.fixture
def points():
    sizes = {s: [all_ if n == "all" else n for n in ASKED] for s, all_ in STORIES.items()}
    return {s: [point(n, law_of(n, s)) for n in mine] for s, mine in sizes.items()}


def test_all_is_pooled_with_all_at_the_mean_of_x(points):
    """The subjects have 93, 98 and 98 training stories."""
    every, lost = with_pool(points, SPEC, "stories")
    assert not any(lost.values())
    pooled = every["pooled"]
    assert [p.about["n_train"] for p in pooled] == [2, 4, 8, None]
    assert pooled[-1].x == pytest.approx(np.mean([93, 98, 98]))
    assert pooled[-1].n_voxels["all"] == (300, 0)
    rows, curves = _law_rows(every, lost, "stories", 0.9)
    slope = next(
        row
        for row in rows
        if (row["subject"], row["metric"], row["form"], row["parameter"])
        == ("pooled", "r", "log_linear", "b")
    )
    assert slope["n_points"] == 4
    assert slope["estimate"] == pytest.approx(0.083, abs=5e-4)
    assert slope["left_out"] is None
    assert max(row["x"] for row in curves if row["subject"] == "pooled") > 96


def test_a_size_asked_for_twice_is_one_point(points):
    """A subject with just 8 training stories has one fit for 8 and for all."""
    small = {"A": points["UTS01"][:3], "B": points["UTS02"]}
    sizes = {"A": {2: 2, 4: 4, 8: 8, "all": 8}, "B": {2: 2, 4: 4, 8: 8, "all": 98}}
    pooled, lost = pool(small, sizes)
    assert [p.x for p in pooled] == [2, 4, 8, (8 + 98) / 2]
    same, _ = pool({"A": points["UTS01"][:3], "B": points["UTS02"][:3]}, {"A": sizes["A"], "B": sizes["A"]})
    assert [p.x for p in same] == [2, 4, 8]
    assert not any(lost.values())


def test_what_a_pool_lacks_is_said(points):
    """A subject without voxels of a set, and a point without a score, are left out by name."""
    region = {s: [point(p.about["n_train"], 0.1, sets=("all", "roi:V1")) for p in points[s]] for s in STORIES}
    nothing = np.full((51, 2), np.nan)
    for p in region["UTS02"]:
        p.y["roi:V1"] = nothing
    region["UTS03"][1].y["all"] = nothing
    every, lost = with_pool(region, SPEC, "hours")
    assert lost["roi:V1"] == ["UTS02 (no voxel that every fit scores)"]
    assert lost["all"] == ["m at 4 stories (no score in UTS03)"]
    assert sum("roi:V1" in p.y for p in every["pooled"]) == 4
    assert all(np.isfinite(y).all() for p in every["pooled"] for y in p.y.values())
    rows, _ = _law_rows(every, lost, "hours", 0.9)
    said = {(row["subject"], row["voxel_set"]): row["left_out"] for row in rows}
    assert said["pooled", "roi:V1"] == lost["roi:V1"][0]
    assert said["UTS03", "all"] == "m at 4 stories (no score)"
    assert ("UTS02", "roi:V1") not in said, "a subject without a score has no law"
