"""Fit and score one banded model on one subject: features of several models, tables `scores` and `bands`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from voxscale.encoding.data import CellData
from voxscale.encoding.fit import score_blocks, score_rows, scored_rows, size_of
from voxscale.errors import naming
from voxscale.io import read_json, tables, write_json
from voxscale.provenance import collect
from voxscale.ridge import Block, RidgeProblem, sizes_of, solve_banded, split_r, voxels_at_once
from voxscale.statistics import centre_stories


def fit_banded(
    parts: Sequence[CellData],
    cell: Mapping[str, Any],
    samples: int,
    scores_out: str | Path,
    bands_out: str | Path,
) -> None:
    """Write table `scores` of a banded model, and table `bands`: what each band has in it.

    Args:
        parts: data of each band, with model and layer of the band as its cell.
        cell: model (the banded one's slug), layer 0, subject, n_train.
        samples: candidates for how the penalty is shared between bands.

    Raises:
        UserError: anything wrong with the files or the settings, in one line.
    """
    bands = [{name: part.cell[name] for name in ("model", "layer")} for part in parts]
    data, problems = parts[0], [part.problem(0) for part in parts]
    with naming("config key encoding.memory_gb"):
        voxels_at_once([sizes_of(problem) for problem in problems], samples, problems[0].memory_gb)
    share, r = np.full((2, len(bands), data.responses.n_voxels), np.nan, np.float32)
    blocks = _watched(data, problems, samples, share, r)
    found = score_blocks(data, partial(_observed, data, problems[0]), blocks, cell["model"])
    found |= size_of(problems[0])
    found["n_features"] = np.array(sum(problem.n_features for problem in problems))
    provenance = collect(cell=dict(cell), bands=bands, samples=samples, settings=dict(data.settings))
    rows = []
    for b, band in enumerate(bands):
        same = {name: cell[name] for name in ("model", "subject", "n_train")}
        same |= {"band": b, "band_model": band["model"], "band_layer": band["layer"]}
        columns = {name: pa.repeat(value, len(share[b])) for name, value in same.items()}
        rows.append(pa.table({**columns, "voxel": data.responses.voxels, "share": share[b], "r": r[b]}))
    tables.write("bands", pa.concat_tables(rows), bands_out, provenance)
    tables.write("scores", score_rows(data, cell, 0, found), scores_out, provenance)


def _observed(data: CellData, problem: RidgeProblem, voxels: slice) -> np.ndarray:
    return problem.y_train.test(data.test, voxels, data.settings["zscore_test"])


def _watched(
    data: CellData, problems: Sequence[RidgeProblem], samples: int, share: np.ndarray, r: np.ndarray
) -> Iterator[Block]:
    """Blocks as they are fitted; their shares and split scores are noted (bands, voxels)."""
    lengths = list(data.test_lengths.values())
    rows = scored_rows(lengths, data.skip)
    for found in solve_banded(problems, samples, data.settings["seed"]):
        voxels = found.block.voxels
        y = _observed(data, problems[0], voxels)
        *parts, y = (centre_stories(x, lengths, data.skip)[:, rows] for x in (*found.parts, y))
        share[:, voxels], r[:, voxels] = found.share, split_r(np.stack(parts), y)
        yield found.block


def describe_banded(cards: Sequence[str | Path], output: str | Path, model: str) -> None:
    """Write the card of a banded model, by which its scores are gathered."""
    bands = [read_json(card)["model"] for card in cards]
    about = {"modality": "banded", "n_layers": 0, "width": None, "bands": bands}
    write_json(output, {"model": model, **about})
