"""Means of points over subjects, and what is left out of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from voxscale.laws.points import Point


def pool(
    points: Mapping[str, Sequence[Point]], sizes: Mapping[str, Mapping[Any, int]] | None = None
) -> tuple[list[Point], dict[str, list[str]]]:
    """Mean over subjects of the points that all of them have, at the mean of their x.

    A subject without a scored voxel in a set is left out of the mean over this set. Points of the mean have
    therefore only the sets that are averaged over the same subjects, and there may be several of one model.

    ASSUME: the law is about these subjects; the pooled interval does not extend to others.

    Args:
        points: of each subject.
        sizes: for a law of data: subject -> {size asked for: training stories}. What is asked for as `all` is
            another number in each subject. None for a law over models.

    Returns:
        the points, and for each voxel set what is left out of it and why.
    """
    asked = {subject: _by_request(mine, sizes and sizes[subject]) for subject, mine in points.items()}
    left_out: dict[str, list[str]] = {}
    groups: dict[tuple[str, ...], list[str]] = {}  # subjects -> the sets that are averaged over them
    for name in dict.fromkeys(name for mine in points.values() for point in mine for name in point.y):
        who = tuple(s for s, mine in points.items() if any(point.has(name) for point in mine))
        left_out[name] = [f"{s} (no voxel that every fit scores)" for s in points if s not in who]
        groups.setdefault(who, []).append(name)
    pooled = []
    for who, sets in groups.items():
        done = set()
        for key in dict.fromkeys(key for subject in who for key in asked[subject]):
            same = [asked[subject][key] for subject in who if key in asked[subject]]
            here = [n for n in sets if len(same) == len(who) and all(point.has(n) for point in same)]
            for name in set(sets) - set(here):
                lacking = [s for s in who if key not in asked[s] or not asked[s][key].has(name)]
                left_out[name].append(f"{_label(key)} (no score in {', '.join(lacking)})")
            if here and tuple(map(id, same)) not in done:  # else asked for as `all` and as a number
                pooled.append(_mean(same, here))
                done.add(tuple(map(id, same)))
    return pooled, left_out


def _by_request(points: Iterable[Point], sizes: Mapping[Any, int] | None) -> dict[tuple, Point]:
    """Points by model and, in a law of data, by the training size that the config asks for."""
    if sizes is None:
        return {(point.about["model"],): point for point in points}
    found = {(point.about["model"], point.about["n_train"]): point for point in points}
    models = dict.fromkeys(model for model, _ in found)
    return {
        (model, size): found[model, n] for model in models for size, n in sizes.items() if (model, n) in found
    }


def _label(key: tuple) -> str:
    return f"{key[0]} at {key[1]} stories" if len(key) > 1 else key[0]


def _mean(same: Sequence[Point], sets: Sequence[str]) -> Point:
    """The mean of one point of each subject, over some sets."""

    def shared(name: str) -> Any:
        values = {point.about[name] for point in same}
        return values.pop() if len(values) == 1 else None

    about = {"layer": shared("layer"), "n_train": shared("n_train")}
    return Point(
        same[0].about | about | {"wide": any(point.about["wide"] for point in same)},
        float(np.mean([point.x for point in same])),
        min(point.n_blocks for point in same),
        {name: np.mean([point.y[name] for point in same], 0) for name in sets},
        {name: np.mean([point.ceiling[name] for point in same], 0) for name in sets},
        {name: tuple(np.sum([point.n_voxels[name] for point in same], 0)) for name in sets},
    )
