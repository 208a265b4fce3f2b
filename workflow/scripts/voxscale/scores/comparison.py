"""Is one model better than another, and where? From the moments of both fits: nothing is fitted again."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxscale.encoding import MomentsFile
from voxscale.io import tables
from voxscale.progress import bar
from voxscale.provenance import collect
from voxscale.scores.cells import check_same_test
from voxscale.scores.voxel_sets import read_sets
from voxscale.statistics import (
    FEWEST_BLOCKS,
    METRICS,
    block_counts,
    correlations,
    exchanged_r,
    exchanges,
    false_discovery,
    interval,
    n_orders,
    share_beyond,
    skipped_trs,
)

SETS = ("all", "reliable", "significant", "rois")
POOLED = "pooled"
_STEP = 1024  # voxels in memory at a time


def _both_scores(
    cells: Sequence[MomentsFile], settings: Mapping[str, Any]
) -> Iterator[tuple[slice, np.ndarray]]:
    """Some voxels at a time: scores of both cells in each resample, then with blocks exchanged.

    Scores are (metrics, 2, n, v): means over the draws of training stories. A cell with fewer draws, such as
    one of all stories, repeats them.
    """
    kept = cells[0].blocks.kept(skipped_trs(settings))
    blocks = cells[0].blocks.take(kept)
    counts = block_counts(len(blocks.n), settings["draws"], settings["seed"], blocks.inflation)
    chosen = exchanges(len(blocks.n), settings["permutations"], settings["seed"])
    n_draws = max(cell.n_draws for cell in cells)
    readers = (cell.read(draw % cell.n_draws, kept, _STEP) for draw in range(n_draws) for cell in cells)
    for parts in zip(*readers, strict=True):
        scores = 0.0
        for (_, first), (_, second) in zip(parts[::2], parts[1::2], strict=True):
            r = np.stack([correlations(sums, blocks, counts) for sums in (first, second)])
            r = np.concatenate([r, exchanged_r(first, second, blocks, chosen)], 1)
            scores = scores + np.stack([r, r * np.abs(r)]) / n_draws
        yield parts[0][0], scores


def compare(
    cells: Sequence[MomentsFile], sets: Mapping[str, np.ndarray], settings: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, int]]:
    """Two cells of one subject.

    Args:
        cells: the two, tested on the same TRs and voxels.
        sets: name -> (voxels,) bool.
        settings: skip_s, tr_s, draws, interval, seed, permutations.

    Returns:
        columns of table `comparison`; of each set the mean scores (2, metrics, 1 + draws + permutations) in
        the real test set, in the resamples and with blocks exchanged; voxels of each set that both score.
    """
    n_blocks = int(cells[0].blocks.kept(skipped_trs(settings)).sum())
    names = ("r_a", "r_b", "difference", "lo", "hi", "p")
    columns = {name: np.full(cells[0].n_voxels, np.nan) for name in names}
    total, n_voxels = 0.0, 0
    for part, scores in bar(_both_scores(cells, settings), "compare"):
        r, exchanged = np.split(scores[0], [1 + settings["draws"]], axis=1)
        difference = r[0] - r[1]
        lo, hi = interval(difference[0], difference[1:], settings["interval"], n_blocks)
        p = _p(difference[0], exchanged[0] - exchanged[1], n_blocks)
        found = (*r[:, 0], difference[0], lo, hi, p)
        columns |= {
            name: _put(columns[name], part, values) for name, values in zip(names, found, strict=True)
        }
        known = np.isfinite(scores).all((0, 1, 2))
        member = np.array([inside[part] & known for inside in sets.values()], float).T  # (v, sets)
        total = total + np.swapaxes(np.where(known, scores, 0.0) @ member, 0, 1)
        n_voxels = n_voxels + member.sum(0)
    columns["q"] = false_discovery(columns["p"])
    with np.errstate(invalid="ignore", divide="ignore"):
        means = total / np.where(n_voxels > 0, n_voxels, np.nan)  # (2, metrics, n, sets)
    counted = {name: int(n) for name, n in zip(sets, n_voxels, strict=True) if n}
    return columns, {name: means[..., s] for s, name in enumerate(sets) if name in counted}, counted


def _put(column: np.ndarray, part: slice, values: np.ndarray) -> np.ndarray:
    column[part] = values
    return column


def _p(difference: np.ndarray, exchanged: np.ndarray, n_blocks: int) -> np.ndarray:
    """Two-sided p of a difference (v,) among those with blocks exchanged (permutations, v)."""
    if n_blocks < FEWEST_BLOCKS or not len(exchanged):
        return np.full(len(difference), np.nan)
    # With all blocks exchanged a difference only changes its sign.
    return share_beyond(np.abs(exchanged).T, np.abs(difference), n_orders(n_blocks) / 2)


def set_rows(
    means: Mapping[str, np.ndarray], n_voxels: Mapping[str, int], n_blocks: int, settings: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Rows of table `comparison_sets` of a subject, or of the mean of subjects.

    Args:
        means, n_voxels: of `compare`.
    """
    rows = []
    for m, metric in enumerate(METRICS):
        own = []
        for name, scores in means.items():
            (a, b), last = scores[:, m], 1 + settings["draws"]
            difference = a - b
            lo, hi = interval(difference[0], difference[1:last], settings["interval"], n_blocks)
            p = _p(difference[:1], difference[last:, None], n_blocks)[0]
            row = {"voxel_set": name, "metric": metric, "a": a[0], "b": b[0], "difference": difference[0]}
            own.append(row | {"lo": lo, "hi": hi, "p": p, "n_voxels": n_voxels[name]})
        regions = [row for row in own if row["voxel_set"].startswith("roi:")]
        q = false_discovery(np.array([row["p"] for row in regions]))
        for row in own:
            row["q"] = np.nan
        for row, value in zip(regions, q, strict=True):
            row["q"] = value
        rows += own
    return rows


def write_comparison(
    name: str,
    subjects: Sequence[str],
    first: Sequence[str | Path],
    second: Sequence[str | Path],
    voxels: str | Path,
    output: str | Path,
    output_sets: str | Path,
    settings: Mapping[str, Any],
) -> None:
    """Write tables `comparison` and `comparison_sets`.

    Args:
        name: of the comparison.
        first, second: moments of the two fits of each subject.
        voxels: table `voxels` of these subjects.
        settings: as for `compare`.

    Raises:
        UserError: the two fits of a subject have other voxels or other test TRs.
    """
    known, rows, columns, pooled, blocks = read_sets(voxels), [], [], {}, []
    for subject, *paths in zip(subjects, first, second, strict=True):
        mine = known[subject]
        cells = [MomentsFile(path, mine.voxels, voxels) for path in paths]
        check_same_test(cells)
        found, means, n_voxels = compare(cells, mine.choose(SETS, "config key comparisons"), settings)
        blocks.append(int(cells[0].blocks.kept(skipped_trs(settings)).sum()))
        names = {"comparison": name, "subject": subject}
        rows += [names | row for row in set_rows(means, n_voxels, blocks[-1], settings)]
        for voxel_set, scores in means.items():
            pooled.setdefault(voxel_set, []).append((scores, n_voxels[voxel_set]))
        same = {key: [value] * len(mine.voxels) for key, value in names.items()}
        columns.append({**same, "voxel": mine.voxels, **found})
    if len(subjects) > 1:
        # Of all subjects who have the set. Test sets of one length are resampled and exchanged alike.
        shared = {key: parts for key, parts in pooled.items() if len(parts) == len(subjects)}
        means = {key: np.mean([scores for scores, _ in parts], 0) for key, parts in shared.items()}
        counted = {key: sum(n for _, n in parts) for key, parts in shared.items()}
        names = {"comparison": name, "subject": POOLED}
        rows += [names | row for row in set_rows(means, counted, min(blocks), settings)]
    whole = {key: np.concatenate([each[key] for each in columns]) for key in columns[0]}
    provenance = collect(settings=dict(settings))
    tables.write("comparison", whole, output, provenance)
    tables.write("comparison_sets", rows, output_sets, provenance)
