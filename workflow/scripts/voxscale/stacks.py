"""The stack of one subject: predictions of all members, some thousand voxels at a time, to two tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa

from voxscale import tables
from voxscale.errors import UserError
from voxscale.io import read_json
from voxscale.preprocess import zscore
from voxscale.progress import bar
from voxscale.provenance import collect
from voxscale.responses import SubjectResponses, open_subject
from voxscale.stacking import TestRows, slices, stack_block, weight_rows


class Predictions:
    """Predictions of one member on disk; nothing stays open between reads.

    Attributes:
        n_voxels, n_train, n_test: voxels, training TRs, test TRs.

    Raises:
        UserError: the file is missing, cut off or something else.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            with h5py.File(self.path, "r") as file:
                self.n_voxels, self.n_train = file["oof"].shape
                self.n_test = file["test"].shape[1]
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; predict the cell again") from None
        except (OSError, KeyError) as error:
            detail = str(error).splitlines()[0]
            raise UserError(f"{path}: holds no predictions ({detail}); delete it and run again") from None

    def read(self, part: slice) -> tuple[np.ndarray, np.ndarray]:
        """Out-of-fold (v, n_train) and test (v, n_test) predictions of some voxels."""
        with h5py.File(self.path, "r") as file:
            return file["oof"][part], file["test"][part]


def observed(
    subject: SubjectResponses, train: Sequence[str], test: Sequence[str], zscore_test: str, part: slice
) -> tuple[np.ndarray, np.ndarray]:
    """Responses of some voxels scaled as the fits scale them: (v, training TRs), (v, test TRs)."""
    raw = [subject.read(story, part) for story in train]
    heard = [subject.read(story, part) for story in test]
    reference = np.concatenate(raw, 1) if zscore_test == "training" else None
    return (
        np.concatenate([zscore(y, axis=1) for y in raw], 1),
        np.concatenate([zscore(y, axis=1, reference=reference) for y in heard], 1),
    )


def stack_subject(
    predictions: Sequence[str | Path],
    cards: Sequence[str | Path],
    responses: str | Path,
    subject_table: str | Path,
    output: str | Path,
    output_weights: str | Path,
    cells: Sequence[Sequence[Any]],
    settings: Mapping[str, Any],
) -> None:
    """Write tables `stacking` and `stacking_weights` of one subject.

    Args:
        predictions: file of each member's predictions; cards: model cards of the same members.
        responses: `results/responses/<subject>.h5`; subject_table: table `subjects`.
        cells: (model, layer, subject, n_train) of each member.
        settings: zscore_test, skip_s, tr_s, block_trs, draws, seed, interval, memory_gb.

    Raises:
        UserError: predictions of other voxels or TRs than the subject's.
    """
    name = cells[0][2]
    members = [{"model": cell[0], "layer": cell[1]} for cell in cells]
    modalities = [read_json(card)["modality"] for card in cards]
    subject = open_subject(responses)
    told = tables.read("subjects", subject_table).to_pylist()
    train, test = ([row["story"] for row in told if row["role"] == role] for role in ("train", "test"))
    opened = [Predictions(path) for path in predictions]
    expected = (
        subject.n_voxels,
        sum(subject.n_trs(story) for story in train),
        sum(subject.n_trs(story) for story in test),
    )
    for member in opened:
        if (member.n_voxels, member.n_train, member.n_test) != expected:
            raise UserError(f"{member.path}: was not predicted for {responses} as it is; predict it again")
    rows = TestRows.of(
        {story: subject.n_trs(story) for story in test},
        round(settings["skip_s"] / settings["tr_s"]),
        settings["block_trs"],
        settings["draws"],
        settings["seed"],
        settings["interval"],
    )
    columns: list[dict[str, np.ndarray]] = []
    weights: list[np.ndarray] = []
    memory = min(settings["memory_gb"], 2.0)
    parts = list(
        slices(subject.n_voxels, len(opened), expected[1] + expected[2] + 5 * settings["draws"], memory)
    )
    for part in bar(parts, "stack"):
        oof, predicted = (np.stack(arrays) for arrays in zip(*(m.read(part) for m in opened), strict=True))
        y_train, y_test = observed(subject, train, test, settings["zscore_test"], part)
        # Folds of random chunks leave TRs that no fold holds out: they have no out-of-fold prediction.
        held = np.isfinite(oof).any((0, 1))
        found, share = stack_block(oof[..., held], predicted, y_train[:, held], y_test, modalities, rows)
        columns.append(found)
        weights.append(share)
    whole: dict[str, Any] = {key: np.concatenate([part[key] for part in columns]) for key in columns[0]}
    labels = [f"{member['model']} layer {member['layer']}" for member in members]
    whole["best"] = pa.array([labels[i] if i >= 0 else None for i in whole["best"]], pa.string())
    whole |= {"subject": [name] * subject.n_voxels, "voxel": subject.voxels}
    provenance = collect(members=labels, settings=dict(settings))
    tables.write("stacking", whole, output, provenance)
    shares = weight_rows(name, subject.voxels, members, np.concatenate(weights))
    tables.write("stacking_weights", shares, output_weights, provenance)
