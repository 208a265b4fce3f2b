"""From the files of a study's tables to the files of a figure: PNG, PDF and the plotted numbers as CSV."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from voxscale.figures.style import STYLE, labelled_points
from voxscale.io import atomic, origin_of, read_json, sha256_text, tables
from voxscale.provenance import job

DPI = 160  # of the PNG


def draw_figure(
    draw: str,
    inputs: Mapping[str, Sequence[str | Path]],
    options: Mapping[str, Any],
    png: str | Path,
    pdf: str | Path,
    csv: str | Path,
) -> None:
    """Read tables, draw a figure from them in the house style and write it.

    Args:
        draw: `<module>.<function>` of this room, a drawing function.
        inputs: files of each of its tables, by the name of its argument, which is the table's own; a table
            of one `.json` file is passed as read.
        options: its other arguments.
    """
    frames = {
        name: read_json(*paths) if Path(paths[0]).suffix == ".json" else read_table(name, paths)
        for name, paths in inputs.items()
    }
    module, function = draw.split(".")
    drawing = getattr(import_module(f"voxscale.figures.{module}"), function)
    with mpl.rc_context(fname=STYLE):
        save_figure(*drawing(**frames, **options), png, pdf, csv)


def read_table(name: str, paths: str | Path | Sequence[str | Path]) -> pd.DataFrame:
    """One table, or the rows of several files of it; empty without files."""
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    parts = [tables.read(name, path).to_pandas() for path in paths]
    if not parts:
        return pd.DataFrame(columns=tables.SCHEMAS[name].names)
    return pd.concat(parts, ignore_index=True)


def save_figure(
    figure: Figure, data: pd.DataFrame, png: str | Path, pdf: str | Path, csv: str | Path
) -> None:
    """Write a figure and what it plots; the same figure gives the same bytes on every run.

    The PNG carries for the report, in text chunks, `labelled_points` as JSON (`points`), the digest of the
    CSV (`csv`), and for which place it was made (`origin`).
    """
    figure.set_dpi(DPI)
    if lacks := job().get("missing"):
        parts = "; ".join(line.partition(":")[0] for line in lacks[:-1])
        note = textwrap.shorten(f"PARTIAL, not the whole study: {parts}", 240, placeholder=" ...")
        figure.suptitle("\n".join(textwrap.wrap(note, 120)), fontsize="x-small", color="firebrick")
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # another pass would move the points a little
    points = labelled_points(figure)
    if lacks:
        data = data.assign(partial=note)
    numbers = data.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    known = {"Software": None, "csv": sha256_text(numbers), "origin": origin_of(png)}
    known |= {"points": json.dumps(points)} if points else {}
    with atomic(png) as temporary:
        figure.savefig(temporary, dpi=DPI, metadata=known)
    with atomic(pdf) as temporary:
        figure.savefig(temporary, dpi=220, metadata={"CreationDate": None, "ModDate": None})
    with atomic(csv) as temporary:
        temporary.write_text(numbers)
