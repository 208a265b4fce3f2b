"""What figures take from the study's tables: pandas frames, and the cells that stand for a model."""

import pandas as pd


def voxel_set_label(voxel_set: str) -> str:
    """A voxel set in words: `roi:early_auditory` is `early auditory`."""
    kind, _, name = voxel_set.partition(":")
    if kind == "decile":
        return f"ceiling decile {name}"
    return (name or kind).replace("_", " ")


def choose(table: pd.DataFrame, voxel_set: str = "all") -> pd.DataFrame:
    """Rows of signed r², which the figures of laws show, over one voxel set."""
    return table[(table.metric == "r2") & (table.voxel_set == voxel_set)]


def mean_of_subjects(table: pd.DataFrame) -> str:
    """What the table's `subject` names the mean of subjects, or the only subject."""
    return "pooled" if (table.subject == "pooled").any() else next(iter(table.subject), "")


def full_training(summary: pd.DataFrame, voxel_set: str = "all") -> pd.DataFrame:
    """Rows of each subject's largest training set, draws averaged away."""
    rows = summary[summary.voxel_set == voxel_set]
    largest = rows.groupby("subject").n_train.transform("max")
    return rows[(rows.n_train == largest) & (rows.draw == 0)]


def best_layer(summary: pd.DataFrame) -> pd.DataFrame:
    """Of each model only the layer with the best mean held-out r inside the training stories.

    Only layers that most of its subjects have: a layer swept in one subject is not compared with a mean.
    """
    inside = summary.groupby(["model", "layer"], as_index=False).agg(
        subjects=("subject", "nunique"), score=("mean_cv_r", "mean")
    )
    best = inside.sort_values(["subjects", "score"]).drop_duplicates("model", keep="last")
    return summary.merge(best[["model", "layer"]], on=["model", "layer"])


def with_place(table: pd.DataFrame, voxels: pd.DataFrame) -> pd.DataFrame:
    """Add each voxel's hemisphere, vertex, region (`no region` without one) and whether it is predicted.

    Predicted are significant voxels, or all where it is not known which are.
    """
    place = voxels[["subject", "voxel", "hemisphere", "vertex", "roi"]]
    place = place.assign(predicted=voxels.significant.astype(bool) | (voxels.reference == "none"))
    placed = table.merge(place, on=["subject", "voxel"], how="left")
    placed["roi"] = placed.roi.replace("", None).fillna("no region").str.replace("_", " ")
    return placed


_ROOM = ("r_ceiling", "ccmax", "ccnorm", "room")


def with_room(voxels: pd.DataFrame, room: pd.DataFrame) -> pd.DataFrame:
    """Table `voxels` with what table `room` says of each voxel's chosen model."""
    chosen = room.loc[room.chosen.astype(bool), ["subject", "voxel", "model", *_ROOM]]
    return voxels.drop(columns="ccmax").merge(chosen, on=["subject", "voxel"], how="left")
