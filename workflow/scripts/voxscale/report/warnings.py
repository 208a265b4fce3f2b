"""What a reader of the report must know before relying on a number."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from voxscale.figures import full_training
from voxscale.laws import JUDGED
from voxscale.report.content import METRIC, chief

# How much a warning matters, and the heading of those that matter alike: in this order.
WRONG, WEAK, NOTED = RANKS = (
    "Look at these first: numbers may be wrong, or are missing",
    "Less can be concluded",
    "Good to know: nothing has to be done",
)
Found = tuple[str, str]  # rank, sentence

_EDGE_SHARE = 0.05  # above this share of voxels, the end of the alpha grid is named
_EDGE_VOXELS = 10  # and above this number of them
# Penalties, in units of the kernel's mean diagonal, beyond which alpha hardly matters: below the first a fit
# is least squares, above the second all weights of a voxel shrink together. With a grid that is wider by two
# powers of ten at both ends, the demo's mean scores differ by less than 0.0005. One percent is for rounding.
_SATURATED = {"smallest": 1.01e-6, "largest": 0.99e4}
_WIDEN = {"smallest": "lower encoding.alphas.log10_min", "largest": "raise encoding.alphas.log10_max"}


def _edges(summary: pd.DataFrame, alphas: Mapping[str, Any]) -> Iterator[Found]:
    """Models whose significant voxels take the alpha at an end of the grid, with all training stories."""
    cells = full_training(summary[summary.modality != "control"], "significant")
    # With features z-scored, the kernel's mean diagonal is their number.
    unit = 1.0 if alphas["scale"] == "kernel" else cells.n_features
    least, most = (100.0 ** alphas[key] / unit for key in ("log10_min", "log10_max"))
    low, high = cells.share_alpha_low, cells.share_alpha_edge - cells.share_alpha_low
    ends = pd.concat(
        [
            cells.assign(end="smallest", share=low, saturated=least <= _SATURATED["smallest"]),
            cells.assign(end="largest", share=high, saturated=most >= _SATURATED["largest"]),
        ]
    )
    many = ends[(ends.share > _EDGE_SHARE) & (ends.share * ends.n_voxels >= _EDGE_VOXELS)]
    for saturated, part in many.groupby("saturated"):
        of_ends = dict(list(part.groupby("end", sort=False)))
        worst = {end: rows.loc[rows.share.idxmax()] for end, rows in of_ends.items()}
        said = " and ".join(
            f"the {end} in {len(of_ends[end])} of {len(cells)} fits to all training stories (at most "
            f"{row.share:.0%}: {row.model}, layer {row.layer}, {row.subject})"
            for end, row in worst.items()
        )
        text = (
            f"More than {_EDGE_SHARE:.0%} of the significant voxels take an alpha at the grid's end: {said}."
        )
        if saturated:
            yield NOTED, f"{text} There a fit hardly depends on alpha: a wider grid would hardly change it."
        else:
            keys = " and ".join(_WIDEN[end] for end in worst)
            yield WRONG, f"{text} Their scores may be too low: {keys}, and encoding.alphas.n in proportion."


def _unscored(summary: pd.DataFrame) -> Iterator[Found]:
    """Voxels and fits without a score, and models that means over subjects do not compare alike."""
    cells = summary[summary.voxel_set == "all"]
    silent = cells[cells.n_voxels == 0]
    for row in silent.drop_duplicates(["model", "layer", "subject", "n_train"]).itertuples():
        yield (
            WRONG,
            f"{row.model}, layer {row.layer}, {row.subject}, {row.n_train} stories has no score at all (its "
            "features or predictions do not vary) and is left out: look at its features, or leave it out.",
        )
    missing = cells[(cells.n_nan > 0) & (cells.n_voxels > 0)]
    if len(missing):
        worst = missing.groupby("subject").n_nan.max()
        who = ", ".join(f"{subject}: {n:,}" for subject, n in worst.items())
        yield (
            WEAK,
            f"Voxels that some fit or draw does not score (constant, or not finite): {who}. Every mean of a "
            "comparison is over the voxels that all its fits and draws score; these are left out of all of "
            "them, never 0. If they are many, look at the mask and at the responses.",
        )
    largest = full_training(cells)
    smaller = sorted(set(cells.model) - set(largest.model))
    if smaller:
        yield (
            NOTED,
            f"Fitted to fewer stories only, and not in comparisons of models: {', '.join(smaller)}. `all` in "
            "n_train of their sweep would include them.",
        )
    subjects = largest.groupby("model").subject.unique()
    partly = [f"{m} ({', '.join(who)})" for m, who in subjects.items() if len(who) < cells.subject.nunique()]
    if partly:
        yield (
            WEAK,
            f"Means over subjects are over some of them only for {'; '.join(partly)}. Compare these within a "
            "subject, or fit them in all (key subjects of their sweep).",
        )
    wide = cells[cells.wide]
    if len(wide):
        yield (
            WEAK,
            f"{len(wide)} of {len(cells)} fits have more features times delays than training TRs (p > n). If "
            "that flattens a law of size, the law without them (points `narrow` in the table) is steeper.",
        )


def _conclusions(laws: pd.DataFrame) -> Iterator[Found]:
    """What laws leave out, lack, or say differently by metric."""
    shown = laws[laws.points == "all"]
    whole, named = chief(shown), ["subject", "voxel_set", "group"]
    for law, part in shown.dropna(subset=["left_out"]).groupby("law", sort=False):
        for what, rows in part.groupby("left_out", sort=False):
            where = rows[named].drop_duplicates().agg(", ".join, axis=1)
            yield WEAK, f"Law {law} leaves out {what}: {'; '.join(where)}. It is of what remains."
    more = "Add models or training sizes to its sweep"
    for law, part in whole.groupby("law", sort=False):
        if lack := next(iter(part.lacking.dropna()), None):
            yield (
                WEAK,
                f"Law {law} has too little for a conclusion: {lack}. Its numbers are not headlined. {more}.",
            )
        best = part[part.preferred].drop_duplicates(["metric", "group"])
        if best.form.nunique() > 1:
            forms = ", ".join(
                f"{row.form.replace('_', '-')} for {METRIC[row.metric]}" for row in best.itertuples()
            )
            yield (
                NOTED,
                f"Law {law}: the preferred form differs by metric or model ({forms}). Figures: signed r².",
            )
    few = whole[whole.n_points < JUDGED].law.unique()
    if len(few):
        yield (
            WEAK,
            f"Laws fitted to fewer than {JUDGED} points: {', '.join(few)}. Too few to choose a form: none is "
            f"preferred. {more}, to choose one.",
        )


def warnings(
    summary: pd.DataFrame,
    laws: pd.DataFrame,
    joint: pd.DataFrame,
    alphas: Mapping[str, Any],
    found: Sequence[str] = (),
    notes: Sequence[str] = (),
    cautions: Sequence[str] = (),
) -> dict[str, list[str]]:
    """Sentences that a reader must know before relying on a number, by rank, the most urgent first.

    Args:
        summary, laws, joint: tables of these names.
        alphas: the config's `encoding.alphas`.
        found: warnings that jobs wrote.
        notes: limitations that follow from the config and the dataset.
        cautions: those of them because of which less can be concluded.
    """
    ranked: dict[str, list[str]] = {rank: [] for rank in RANKS}
    ranked[WRONG] += found
    ranked[WEAK] += cautions
    for rank, sentence in (*_edges(summary, alphas), *_unscored(summary), *_conclusions(laws)):
        ranked[rank].append(sentence)
    for column, text in (("left_out", "The joint law leaves out"), ("lacking", "No next step is advised:")):
        for what, rows in joint.dropna(subset=[column]).groupby(column, sort=False):
            where = rows[["subject", "voxel_set"]].drop_duplicates().agg(", ".join, axis=1)
            ranked[WEAK].append(f"{text} {what} ({'; '.join(where)}).")
    ranked[NOTED] += [note for note in notes if note not in cautions]
    return {rank: sentences for rank, sentences in ranked.items() if sentences}


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
