"""What a reader of the report must know before relying on a number."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from voxscale.figures import full_training
from voxscale.laws import JUDGED
from voxscale.report.content import METRIC, chief

_EDGE_SHARE = 0.05  # above this share of voxels, the alpha grid is too narrow
_EDGE_VOXELS = 10  # and above this number of them
# Of voxels that a model predicts: others take the largest alpha and lose nothing by it.
_EDGES = {
    "share_alpha_low": ("smallest", "lower encoding.alphas.log10_min"),
    "share_alpha_high": ("largest", "raise encoding.alphas.log10_max"),
}


def _edges(summary: pd.DataFrame) -> list[str]:
    """Models whose significant voxels take the alpha at one end of the grid, with all training stories."""
    cells = full_training(summary[summary.modality != "control"], "significant")
    cells = cells.assign(share_alpha_high=cells.share_alpha_edge - cells.share_alpha_low)
    found = []
    for column, (end, advice) in _EDGES.items():
        many = cells[column] * cells.n_voxels >= _EDGE_VOXELS
        beyond = cells[(cells[column] > _EDGE_SHARE) & many]
        if len(beyond):
            worst = beyond.loc[beyond[column].idxmax()]
            found.append(
                f"More than {_EDGE_SHARE:.0%} of the significant voxels take the {end} ridge alpha of the "
                f"grid in {len(beyond)} of {len(cells)} fits of models to all training stories (at most "
                f"{worst[column]:.0%}: {worst.model}, layer {worst.layer}, {worst.subject}); {advice}."
            )
    return found


def _unscored(summary: pd.DataFrame) -> list[str]:
    """Voxels and fits without a score, and models that means over subjects do not compare alike."""
    cells, found = summary[summary.voxel_set == "all"], []
    silent = cells[cells.n_voxels == 0]
    for row in silent.drop_duplicates(["model", "layer", "subject", "n_train"]).itertuples():
        found.append(
            f"{row.model}, layer {row.layer}, {row.subject}, {row.n_train} stories has no score at all (its "
            "features or predictions do not vary) and is left out."
        )
    missing = cells[(cells.n_nan > 0) & (cells.n_voxels > 0)]
    if len(missing):
        worst = missing.groupby("subject").n_nan.max()
        who = ", ".join(f"{subject}: {n:,}" for subject, n in worst.items())
        found.append(
            f"Voxels that some fit or draw does not score (constant, or not finite): {who}. Every mean of a "
            "comparison is over the voxels that all its fits and draws score; these are left out of all of "
            "them, never 0."
        )
    largest = full_training(cells)
    smaller = sorted(set(cells.model) - set(largest.model))
    if smaller:
        found.append(f"Fitted to fewer stories only, and not in comparisons of models: {', '.join(smaller)}.")
    subjects = largest.groupby("model").subject.unique()
    partly = [f"{m} ({', '.join(who)})" for m, who in subjects.items() if len(who) < cells.subject.nunique()]
    if partly:
        found.append(f"Means over subjects are over some of them only for {'; '.join(partly)}.")
    return found


def _conclusions(laws: pd.DataFrame) -> list[str]:
    """What laws and the joint law leave out, lack, or say differently by metric."""
    found, shown = [], laws[laws.points == "all"]
    whole, named = chief(shown), ["subject", "voxel_set", "group"]
    for law, part in shown.dropna(subset=["left_out"]).groupby("law", sort=False):
        for what, rows in part.groupby("left_out", sort=False):
            where = rows[named].drop_duplicates().agg(", ".join, axis=1)
            found.append(f"Law {law} leaves out {what}: {'; '.join(where)}.")
    for law, part in whole.groupby("law", sort=False):
        if lack := next(iter(part.lacking.dropna()), None):
            found.append(f"Law {law} has too little for a conclusion: {lack}. Its numbers are not headlined.")
        best = part[part.preferred].drop_duplicates(["metric", "group"])
        if best.form.nunique() > 1:
            forms = ", ".join(
                f"{row.form.replace('_', '-')} for {METRIC[row.metric]}" for row in best.itertuples()
            )
            found.append(f"Law {law}: the preferred form differs by metric or model ({forms}).")
    few = whole[whole.n_points < JUDGED].law.unique()
    if len(few):
        found.append(
            f"Laws fitted to fewer than {JUDGED} points: {', '.join(few)}. Too few to choose a form: none is "
            "preferred."
        )
    return found


def warnings(
    summary: pd.DataFrame, laws: pd.DataFrame, joint: pd.DataFrame, notes: Sequence[str] = ()
) -> list[str]:
    """Sentences that a reader must know before relying on a number."""
    found = [*notes, *_edges(summary), *_unscored(summary)]
    cells = summary[summary.voxel_set == "all"]
    wide = cells[cells.wide]
    if len(wide):
        found.append(
            f"{len(wide)} of {len(cells)} fits have more features times delays than training TRs (p > n); "
            "laws without them are in the table of laws as the points `narrow`."
        )
    found += _conclusions(laws)
    for column, text in (("left_out", "The joint law leaves out"), ("lacking", "No next step is advised:")):
        for what, rows in joint.dropna(subset=[column]).groupby(column, sort=False):
            where = rows[["subject", "voxel_set"]].drop_duplicates().agg(", ".join, axis=1)
            found.append(f"{text} {what} ({'; '.join(where)}).")
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
