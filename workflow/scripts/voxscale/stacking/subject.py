"""The stack of one subject: predictions of all members, some thousand voxels at a time, to two tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa

from voxscale.dataset import open_subject
from voxscale.encoding import TrainingResponses
from voxscale.errors import UserError
from voxscale.io import open_hdf5, read_json, tables
from voxscale.progress import bar
from voxscale.provenance import collect
from voxscale.stacking.block import ScoredRows, stack_block, voxel_slices, weight_rows
from voxscale.statistics import skipped_trs


def _stories(file: h5py.File, role: str) -> dict[str, int]:
    names, trs = file[f"{role}_story"].asstr()[:], file[f"{role}_trs"][:]
    return dict(zip(names.tolist(), trs.tolist(), strict=True))


class _PredictionsFile:
    """Predictions of one member on disk; the file is open only while it is read.

    Attributes:
        order: voxels, training stories and test stories of its rows and columns, each story with its TRs.

    Raises:
        UserError: the file is missing, cut off or something else.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with open_hdf5(self.path) as file:
            self.order = file["voxel"][:].tolist(), _stories(file, "train"), _stories(file, "test")

    def read(self, part: slice) -> tuple[np.ndarray, np.ndarray]:
        """Out-of-fold (v, training TRs) and test (v, test TRs) predictions of some voxels."""
        with open_hdf5(self.path) as file:
            return file["oof"][part], file["test"][part]


def write_stacking(
    predictions: Sequence[str | Path],
    cards: Sequence[str | Path],
    responses: str | Path,
    output: str | Path,
    output_weights: str | Path,
    cells: Sequence[Sequence[Any]],
    settings: Mapping[str, Any],
) -> None:
    """Write tables `stacking` and `stacking_weights` of one subject.

    Args:
        predictions: file of each member's predictions; cards: model cards of the same members.
        responses: `results/responses/<subject>.h5`.
        cells: (model, layer, subject, n_train) of each member.
        settings: zscore_test, skip_s, tr_s, block_trs, draws, seed, interval, memory_gb.

    Raises:
        UserError: predictions of other voxels or stories than the subject's.
    """
    name = cells[0][2]
    members = [{"model": cell[0], "layer": cell[1]} for cell in cells]
    labels = [f"{member['model']} layer {member['layer']}" for member in members]
    modalities = [read_json(card)["modality"] for card in cards]
    subject = open_subject(responses)
    opened = [_PredictionsFile(path) for path in predictions]
    voxels, train, test = opened[0].order
    if voxels != subject.voxels.tolist() or any(subject.n_trs(s) != n for s, n in (train | test).items()):
        raise UserError(
            f"{opened[0].path}: its voxels or stories are not those of {responses}; predict the cell again"
        )
    for member in opened:
        if member.order != opened[0].order:
            raise UserError(
                f"{member.path}: has other voxels or stories than {opened[0].path}; predict both again"
            )
    y = TrainingResponses(subject, list(train))
    rows = ScoredRows.of(
        test, skipped_trs(settings), *(settings[key] for key in ("block_trs", "draws", "seed", "interval"))
    )
    columns: list[dict[str, np.ndarray]] = []
    weights: list[np.ndarray] = []
    trs = sum(train.values()) + sum(test.values()) + 5 * settings["draws"]
    parts = list(voxel_slices(len(voxels), len(opened), trs, min(settings["memory_gb"] or 2.0, 2.0)))
    for part in bar(parts, "stack"):
        oof, predicted = (np.stack(arrays) for arrays in zip(*(m.read(part) for m in opened), strict=True))
        y_train = y[part]
        y_test = y.test(list(test), part, settings["zscore_test"])
        # Folds of random chunks leave TRs that no fold holds out: they have no out-of-fold prediction.
        held = np.isfinite(oof).any((0, 1))
        if not held.all():
            oof, y_train = oof[..., held], y_train[:, held]
        found, share = stack_block(oof, predicted, y_train, y_test, modalities, rows)
        columns.append(found)
        weights.append(share)
    whole: dict[str, Any] = {key: np.concatenate([part[key] for part in columns]) for key in columns[0]}
    whole["best"] = pa.array([labels[i] if i >= 0 else None for i in whole["best"]], pa.string())
    provenance = collect(members=labels, settings=dict(settings))
    tables.write("stacking", whole | {"subject": [name] * len(voxels), "voxel": voxels}, output, provenance)
    shares = weight_rows(name, subject.voxels, members, np.concatenate(weights))
    tables.write("stacking_weights", shares, output_weights, provenance)
