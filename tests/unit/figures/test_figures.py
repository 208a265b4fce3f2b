"""Every figure from a small study: what it plots is in its numbers, its axes are named, its bytes repeat."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import study_tables as study
from drawn_figures import FIGURES, law, room, texts
from PIL import Image

from voxscale.figures import (
    checks,
    distributions,
    files,
    layers,
    maps,
    outlook,
    style,
    truth,
)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_has_named_axes(drawn, name):
    figure, data = drawn[name]
    assert len(data)
    shared = [getattr(figure, f"_sup{axis}label", None) for axis in "xy"]
    for axes in (axes for axes in figure.axes if axes.get_visible() and axes.axison):
        bar = hasattr(axes, "_colorbar")
        rows = axes.get_subplotspec()
        assert bar or axes.get_xlabel() or shared[0] or not rows.is_last_row(), (
            f"{name}: an x axis without a name"
        )
        named = (
            axes.get_ylabel() or shared[1] or [t.get_text() for t in axes.get_yticklabels() if t.get_text()]
        )
        assert named, f"{name}: a y axis without a name"
    # Units: every score says that it is a correlation or r², every amount its unit.
    stated = " ".join(texts(figure))
    assert any(word in stated for word in ("correlation", "r²", "in r"))


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_cut_off_at_the_page(drawn, name):
    figure, _ = drawn[name]
    figure.draw_without_rendering()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert box.x0 > -0.02, f"{name} sticks out on the left"
    assert box.y0 > -0.02, f"{name} sticks out at the bottom"
    assert box.x1 < width + 0.02, f"{name} sticks out on the right"
    assert box.y1 < height + 0.02, f"{name} sticks out at the top"


def test_saved_numbers_are_the_plotted_ones(drawn, tmp_path):
    figure, data = drawn["score_by_language_model_size"]
    paths = [tmp_path / f"a.{kind}" for kind in ("png", "pdf", "csv")]
    files.save_figure(figure, data, *paths)
    assert paths[0].read_bytes()[:4] == b"\x89PNG"
    assert paths[1].read_bytes()[:5] == b"%PDF-"
    back = pd.read_csv(paths[2])
    lines = [line for line in figure.axes[0].get_lines() if line.get_marker() not in ("None", "")]
    plotted = np.sort(np.concatenate([line.get_ydata() for line in lines]).astype(float))
    written = np.sort(back[back.series == "points"].y.to_numpy())
    assert len(plotted) == 6 * 4  # six models, three subjects and their mean
    assert np.allclose(plotted, written, rtol=1e-5)


def test_the_picture_knows_where_its_points_are_and_what_they_say(drawn, tmp_path):
    for name in ("score_by_language_model_size", "controls"):
        figure, data = drawn[name]
        files.save_figure(figure, data, *(tmp_path / f"{name}.{kind}" for kind in ("png", "pdf", "csv")))
        with Image.open(tmp_path / f"{name}.png") as image:
            pixels, points = np.asarray(image.convert("L")), json.loads(image.text["points"])
        rows = data[data.subject == "UTS01"]
        mine = [point for point in points if "subject: UTS01" in point[2]]
        assert len(mine) == len(rows)
        for x, y, text in mine:
            assert re.search(r"^model: .*^score: ", text, re.DOTALL | re.MULTILINE)
            row, column = round(y * pixels.shape[0]), round(x * pixels.shape[1])
            around = pixels[max(row - 5, 0) : row + 6, max(column - 5, 0) : column + 6]
            assert around.min() < 200, f"{name}: nothing is drawn at {text}"


@pytest.mark.parametrize(
    "draw",
    [
        lambda t: law(t, "absent"),
        lambda t: layers.draw_layers(t["layers"].iloc[:0]),
        lambda t: maps.draw_score_maps(t["scores"], t["voxels"].assign(vertex=None, hemisphere=None)),
        lambda t: distributions.draw_ceiling_distribution(t["voxels"].assign(reliable=False), room(t)),
        lambda t: checks.draw_ceiling_drift(t["drift"].iloc[:0]),
        lambda t: truth.draw_validation({"points": [], "checks": []}),
        lambda t: outlook.draw_what_next(*(table.iloc[:0] for table in t["joint"])),
        lambda t: outlook.draw_plateau(t["points"], t["laws"], *t["bits"], arms={"none": "raw"}),
        lambda t: checks.draw_artifact(t["artifact"].iloc[:0]),
        lambda t: checks.draw_artifact(t["artifact"].query("cut_s == 0").assign(difference=np.nan)),
        lambda t: maps.draw_stacking_gain(t["stacking"].iloc[:0], t["voxels"]),
        lambda t: distributions.draw_variance_partition(t["stacking"].iloc[:0], t["voxels"]),
    ],
)
def test_what_a_study_lacks_becomes_a_sentence(made, draw, tmp_path):
    figure, data = draw(made)
    (note,) = data.note
    assert note.endswith(".")
    assert note.split()[0] in " ".join(texts(figure))
    files.save_figure(figure, data, *(tmp_path / f"a.{kind}" for kind in ("png", "pdf", "csv")))


MAKE = """
import sys
sys.path[:0] = sys.argv[2:]
import numpy as np, study_tables as study, voxel_tables
from voxscale.figures import files, maps
rng = np.random.default_rng(0)
scores, voxels = voxel_tables.scores(rng, ["opt-30b"], 40), voxel_tables.voxels(rng, 40)
drawn = maps.draw_score_maps(scores[scores.subject == "UTS01"], voxels)
files.save_figure(*drawn, *(f"{sys.argv[1]}/a.{kind}" for kind in ("png", "pdf", "csv")))
"""


def test_another_run_gives_the_same_bytes(tmp_path):
    root = Path(__file__).parents[3]
    found = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        paths = [str(folder), str(root / "tests"), str(root / "workflow" / "scripts")]
        environment = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", MAKE, *paths], check=True, env=environment)
        found.append([(folder / f"a.{kind}").read_bytes() for kind in ("png", "pdf", "csv")])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("score_by_language_model_size", "y"),
        ("score_by_speech_model_size", "y"),
        ("score_by_training_hours", "y"),
        ("score_by_layer", "score"),
        ("controls", "score"),
        ("long_context_artifact", "difference"),
    ],
)
def test_every_number_of_a_subject_can_be_pointed_at(drawn, name, column):
    figure, data = drawn[name]
    word = "difference" if column == "difference" else "score"
    texts = {line for *_, text in style.labelled_points(figure) for line in text.split("\n")}
    own = data[data.subject.isin(study.SUBJECTS)]
    assert {f"{word}: {value:.4g}" for value in own[column]} <= texts
    assert {f"subject: {subject}" for subject in (*study.SUBJECTS, "mean of subjects")} <= texts
    assert {f"model: {model}" for model in own.model} <= texts
