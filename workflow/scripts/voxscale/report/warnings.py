"""What a reader of the report must know before believing a number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from voxscale.report.content import chief

JUDGED = 6  # points, of which a form of three parameters and a scatter has a corrected AIC
EDGE_SHARE = 0.05  # above this share of voxels, the alpha grid is too narrow
# Of voxels that a model predicts: others take the largest alpha and lose nothing by it.
EDGES = {
    "share_alpha_low": ("smallest", "lower encoding.alphas.log10_min"),
    "share_alpha_high": ("largest", "raise encoding.alphas.log10_max"),
}


def _edges(summary: pd.DataFrame) -> list[str]:
    """Fits whose significant voxels want an alpha beyond one end of the grid."""
    cells = summary[summary.voxel_set == "significant"]
    cells = cells.assign(share_alpha_high=cells.share_alpha_edge - cells.share_alpha_low)
    told = []
    for column, (end, advice) in EDGES.items():
        beyond = cells[cells[column] > EDGE_SHARE]
        if len(beyond):
            worst = beyond.loc[beyond[column].idxmax()]
            told.append(
                f"More than {EDGE_SHARE:.0%} of the significant voxels take the {end} ridge alpha of the "
                f"grid in {len(beyond)} of {len(cells)} fits (at most {worst[column]:.0%}: {worst.model}, "
                f"layer {worst.layer}, {worst.subject}, {worst.n_train} stories); {advice}."
            )
    return told


def warnings(summary: pd.DataFrame, laws: pd.DataFrame, notes: Sequence[str] = ()) -> list[str]:
    """What a reader must know before believing a number, a sentence each."""
    told = [*notes, *_edges(summary)]
    cells = summary[summary.voxel_set == "all"]
    missing = cells[cells.n_nan > 0]
    if len(missing):
        worst = missing.groupby("subject").n_nan.max()
        who = ", ".join(f"{subject}: {n:,}" for subject, n in worst.items())
        told.append(f"Voxels without a score (constant, or not finite): {who}. They are left out, never 0.")
    wide = cells[cells.wide]
    if len(wide):
        told.append(
            f"{len(wide)} of {len(cells)} fits have more features times delays than training TRs (p > n); "
            "laws without them are in the table of laws as the points `narrow`."
        )
    whole = chief(laws[laws.points == "all"])
    few = whole[whole.n_points < JUDGED].law.unique()
    if len(few):
        told.append(
            f"Laws fitted to fewer than {JUDGED} points: {', '.join(few)}. Their form cannot be told: a "
            "saturating one takes as many to be judged at all."
        )
    return told


def log_notes(logs: Iterable[str | Path]) -> list[str]:
    """Lines that rules wrote as `WARNING ...` into the logs of a study's jobs, each once.

    Args:
        logs: of the study as it is: what was said of models and subjects no longer in it is not told.
    """
    lines: dict[str, None] = {}
    for path in map(Path, logs):
        if not path.is_file():
            continue  # deleted, or of a job that has been done elsewhere
        for line in path.read_text(errors="replace").splitlines():
            if line.startswith("WARNING "):
                lines[line.removeprefix("WARNING ").strip()] = None
    return list(lines)
