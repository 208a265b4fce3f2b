"""All cells in three tables: every voxel's score, a summary of each cell, and the properties of each voxel.

Cells are read one at a time, so memory does not grow with their number.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from voxscale.dataset import read_voxels
from voxscale.errors import UserError
from voxscale.io import read_json, tables
from voxscale.progress import bar
from voxscale.provenance import collect
from voxscale.scores.significant import reference_p, significant
from voxscale.scores.voxel_sets import VoxelSets, deciles, sets_of
from voxscale.statistics import false_discovery

_KEY = ("model", "layer", "subject", "n_train", "draw")
_ROW_GROUP = 1 << 19  # rows; some 20 MB a group


def read_cell(path: str | Path) -> Iterator[tuple[tuple[Any, ...], pa.Table]]:
    """Draws of one cell: (key, rows of that draw).

    Raises:
        UserError: the file is not a whole table `scores` of one cell.
    """
    table = tables.read("scores", path).select(tables.SCHEMAS["scores"].names)
    if not table.num_rows:
        raise UserError(f"{path}: holds no scores; delete it and fit the cell again")
    draws = table["draw"].to_numpy()
    for draw in dict.fromkeys(draws.tolist()):
        mine = draws == draw
        part = table if mine.all() else table.filter(pa.array(mine))
        first = part.slice(0, 1).to_pylist()[0]
        if any(len(part[name].unique()) > 1 for name in _KEY[:4]):
            raise UserError(f"{path}: holds more than one cell; delete it and fit the cell again")
        if len(part["voxel"].unique()) < part.num_rows:
            raise UserError(f"{path}: draw {draw} has a voxel twice; delete it and fit the cell again")
        yield tuple(first[name] for name in _KEY), part


def _unscored(paths: Iterable[str | Path]) -> dict[str, np.ndarray]:
    """Voxels of each subject that some cell or draw does not score.

    A draw without any score, such as that of a feature that never varies, does not count: it would leave no
    voxel for the others.
    """
    found: dict[str, list[np.ndarray]] = {}
    for path in paths:
        part = tables.read("scores", path, ["subject", "voxel", "draw", "r"])
        draw, voxel, missing = (part[name].to_numpy() for name in ("draw", "voxel", "r"))
        missing = ~np.isfinite(missing)
        for each in np.unique(draw[missing]):
            mine = draw == each
            if not missing[mine].all():
                found.setdefault(part["subject"][0].as_py(), []).append(voxel[mine & missing])
    return {subject: np.unique(np.concatenate(parts)) for subject, parts in found.items()}


def _write_cells(
    paths: Sequence[str | Path], output: str | Path, provenance: Mapping[str, Any]
) -> Iterator[tuple[str | Path, tuple[Any, ...], pa.Table]]:
    """Write all cells into one table, and yield each draw with its file and key.

    Raises:
        UserError: two files hold the same draw of the same cell.
    """
    seen: dict[tuple[Any, ...], str | Path] = {}
    waiting: list[pa.Table] = []
    with tables.writer("scores", output, provenance) as writer:
        for path in bar(paths, "gather", unit="cell"):
            for key, part in read_cell(path):
                if key in seen:
                    cell = ", ".join(f"{name}={value}" for name, value in zip(_KEY, key, strict=True))
                    raise UserError(f"{path}: has {cell}, which is also in {seen[key]}; delete the wrong one")
                seen[key] = path
                waiting.append(part.cast(writer.schema))
                if sum(len(table) for table in waiting) >= _ROW_GROUP:
                    writer.write_table(pa.concat_tables(waiting))
                    waiting.clear()
                yield path, key, part
        if waiting:
            writer.write_table(pa.concat_tables(waiting))


def _set_means(
    columns: Mapping[str, np.ndarray], subject: VoxelSets, ccmax: np.ndarray, fdr: float
) -> Iterator[dict[str, Any]]:
    """Scores of one draw of one cell, averaged over the scored voxels of each set; the others are counted.

    Args:
        columns: of table `scores`, (voxels,) each.
        ccmax: (voxels,) ceiling, NaN where it is unreliable.
    """
    r = columns["r"].astype(np.float64)
    values = {
        "r": r,
        "r2": r * np.abs(r),
        "r_uncut": columns["r_uncut"].astype(np.float64),
        "cv_r": columns["cv_r"].astype(np.float64),
        "ccnorm": columns["r_ceiling"] / np.where(ccmax > 0, ccmax, np.nan),
    }
    q = false_discovery(columns["p"])
    sets = {name: inside & subject.scored for name, inside in subject.members.items()}
    member = np.array(list(sets.values()), np.float64)  # (sets, voxels)
    stack = np.array(list(values.values()))
    known = np.isfinite(stack)
    with np.errstate(invalid="ignore"):  # a set without a voxel has NaN for a mean
        means = member @ np.where(known, stack, 0.0).T / (member @ known.T)
    for (name, inside), mean in zip(sets.items(), means, strict=True):
        scored = inside & np.isfinite(r)
        n = int(scored.sum())
        tested = inside & np.isfinite(q)
        yield {
            "voxel_set": name,
            "n_voxels": n,
            "n_nan": int(subject.members[name].sum()) - n,
            **{f"mean_{key}": float(value) for key, value in zip(values, mean, strict=True)},
            "median_r": float(np.median(r[scored])) if n else np.nan,
            "max_r": float(r[scored].max()) if n else np.nan,
            "share_significant": float((q[tested] <= fdr).mean()) if tested.any() else np.nan,
            "share_alpha_edge": float((columns["alpha_edge"][scored] != 0).mean()) if n else np.nan,
            "share_alpha_low": float((columns["alpha_edge"][scored] < 0).mean()) if n else np.nan,
        }


def _read_cards(paths: Iterable[str | Path], families: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Columns of the summary that a model decides, by slug."""
    cards = {}
    for path in paths:
        card = {"parameters": None, "parameters_non_embedding": None} | read_json(path)
        names = ("modality", "parameters", "parameters_non_embedding", "n_layers", "width")
        if missing := [name for name in ("model", *names) if name not in card]:
            raise UserError(f"{path}: a model card lacks {missing[0]}; make it again")
        about = {name: card[name] for name in names}
        cards[card["model"]] = about | {"family": families.get(card["model"], card["modality"])}
    return cards


def gather_scores(
    scores: Sequence[str | Path],
    cards: Sequence[str | Path],
    ceilings: Sequence[str | Path],
    voxel_tables: Mapping[str, str | Path | None],
    output_scores: str | Path,
    output_summary: str | Path,
    output_voxels: str | Path,
    references: Iterable[tuple[str | Path, str | Path]],
    families: Mapping[str, str],
    settings: Mapping[str, Any],
) -> None:
    """Write tables `scores`, `summary` and `voxels` of the whole study.

    Args:
        scores: `scores.parquet` of every cell.
        cards: model cards.
        ceilings: table `ceiling` of every subject.
        voxel_tables: subject -> the dataset's voxel table, or None.
        references: `scores.parquet` and moments of the cells that decide which voxels are significant, the
            same for all selections of cells that are gathered.
        families: family of each model that has one; the modality stands for it where there is none.
        settings: fdr, the false discovery rate; n_alphas, skip_s and tr_s of the fits.

    Raises:
        UserError: a file is missing or damaged, a cell comes twice, a subject's voxels differ between files.
    """
    provenance = collect(**settings)
    models = _read_cards(cards, families)
    known = reference_p(references, settings)
    unscored = _unscored(scores)
    parts = [
        _voxel_table(tables.read("ceiling", path), voxel_tables, known, unscored, settings)
        for path in ceilings
    ]
    subjects = {found.subject: found for found in map(sets_of, parts)}
    rows = []
    for path, key, part in _write_cells(scores, output_scores, provenance):
        if key[0] not in models:
            raise UserError(f"model {key[0]}: has scores but no card; make results/models/{key[0]}.json")
        rows += _summary_rows(path, key, part, models[key[0]], subjects, settings["fdr"])
    tables.write("voxels", pa.concat_tables(parts), output_voxels, provenance)
    tables.write("summary", rows, output_summary, provenance)


def _summary_rows(
    path: str | Path,
    key: tuple[Any, ...],
    part: pa.Table,
    card: Mapping[str, Any],
    subjects: Mapping[str, VoxelSets],
    fdr: float,
) -> list[dict[str, Any]]:
    cell = dict(zip(_KEY, key, strict=True))
    columns = {name: part[name].to_numpy() for name in part.column_names if name not in _KEY}
    subject = subjects.get(cell["subject"])
    if subject is None:
        raise UserError(f"{path}: subject {cell['subject']} has no noise ceiling; give its table too")
    if not np.array_equal(columns["voxel"], subject.voxels):
        raise UserError(f"{path}: its voxels are not those of {cell['subject']}'s ceiling; make both again")
    trs, features = int(columns["train_trs"][0]), int(columns["n_features"][0])
    about = card | {
        "depth": cell["layer"] / max(card["n_layers"], 1),
        "train_trs": trs,
        "train_hours": float(columns["train_hours"][0]),
        "n_features": features,
        "wide": features > trs,
    }
    ccmax = np.where(subject.members["reliable"], subject.ccmax, np.nan)
    return [cell | about | row for row in _set_means(columns, subject, ccmax, fdr)]


def _voxel_table(
    ceiling: pa.Table,
    voxel_tables: Mapping[str, str | Path | None],
    references: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]],
    unscored: Mapping[str, np.ndarray],
    settings: Mapping[str, Any],
) -> pa.Table:
    """Table `voxels` of one subject."""
    subject, voxels = ceiling["subject"][0].as_py(), ceiling["voxel"].to_numpy()
    known = read_voxels(voxel_tables.get(subject))
    about = [known.get(int(voxel), {}) for voxel in voxels]
    mine = references.get(subject, {})
    tenth = deciles(ceiling["ccmax"].to_numpy(), ceiling["reliable"].to_numpy())
    return pa.table(
        {
            "subject": [subject] * len(voxels),
            "voxel": voxels,
            "hemisphere": pa.array([row.get("hemisphere") for row in about], pa.string()),
            "vertex": pa.array([row.get("vertex") for row in about], pa.int32()),
            "roi": pa.array([row.get("roi") or None for row in about], pa.string()),
            **{name: ceiling[name] for name in ("ccmax", "explainable", "reliable")},
            "scored": ~np.isin(voxels, unscored.get(subject, [])),
            "decile": pa.array(tenth, pa.int32(), mask=tenth == 0),
            "significant": significant(mine, voxels, settings["fdr"]),
            "reference": [_named(mine)] * len(voxels),
        }
    )


def _named(references: Iterable[str]) -> str:
    """Reference cells in a few words."""
    names = list(references)
    return " or ".join(names) or "none" if len(names) < 4 else f"any of {len(names)} models"
