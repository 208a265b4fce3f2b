"""What a reader of the report must know before relying on a number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from voxscale.report.content import chief

_JUDGED = 6  # points, of which a form of three parameters and a scatter has a corrected AIC
_EDGE_SHARE = 0.05  # above this share of voxels, the alpha grid is too narrow
# Of voxels that a model predicts: others take the largest alpha and lose nothing by it.
_EDGES = {
    "share_alpha_low": ("smallest", "lower encoding.alphas.log10_min"),
    "share_alpha_high": ("largest", "raise encoding.alphas.log10_max"),
}


def _edges(summary: pd.DataFrame) -> list[str]:
    """Fits whose significant voxels take the alpha at one end of the grid."""
    cells = summary[summary.voxel_set == "significant"]
    cells = cells.assign(share_alpha_high=cells.share_alpha_edge - cells.share_alpha_low)
    found = []
    for column, (end, advice) in _EDGES.items():
        beyond = cells[cells[column] > _EDGE_SHARE]
        if len(beyond):
            worst = beyond.loc[beyond[column].idxmax()]
            found.append(
                f"More than {_EDGE_SHARE:.0%} of the significant voxels take the {end} ridge alpha of the "
                f"grid in {len(beyond)} of {len(cells)} fits (at most {worst[column]:.0%}: {worst.model}, "
                f"layer {worst.layer}, {worst.subject}, {worst.n_train} stories); {advice}."
            )
    return found


def warnings(summary: pd.DataFrame, laws: pd.DataFrame, notes: Sequence[str] = ()) -> list[str]:
    """Sentences that a reader must know before relying on a number."""
    found = [*notes, *_edges(summary)]
    cells = summary[summary.voxel_set == "all"]
    missing = cells[cells.n_nan > 0]
    if len(missing):
        worst = missing.groupby("subject").n_nan.max()
        who = ", ".join(f"{subject}: {n:,}" for subject, n in worst.items())
        found.append(f"Voxels without a score (constant, or not finite): {who}. They are left out, never 0.")
    wide = cells[cells.wide]
    if len(wide):
        found.append(
            f"{len(wide)} of {len(cells)} fits have more features times delays than training TRs (p > n); "
            "laws without them are in the table of laws as the points `narrow`."
        )
    whole = chief(laws[laws.points == "all"])
    few = whole[whole.n_points < _JUDGED].law.unique()
    if len(few):
        found.append(
            f"Laws fitted to fewer than {_JUDGED} points: {', '.join(few)}. Too few to choose a form: "
            "a saturating one needs that many."
        )
    return found


def log_notes(logs: Iterable[str | Path]) -> list[str]:
    """Lines that rules wrote as `WARNING ...` into the logs of a study's jobs, each once.

    Args:
        logs: of the current study; those of models and subjects no longer in it are left out.
    """
    lines: dict[str, None] = {}
    for path in map(Path, logs):
        if not path.is_file():
            continue  # deleted, or of a job that has been done elsewhere
        for line in path.read_text(errors="replace").splitlines():
            if line.startswith("WARNING "):
                lines[line.removeprefix("WARNING ").strip()] = None
    return list(lines)
