"""What single figures show of a small study."""

import re

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import study_tables as study
import voxel_tables
from drawn_figures import law, room, texts

from voxscale.figures import (
    checks,
    comparisons,
    frames,
    maps,
    outlook,
    scaling,
    style,
)


def test_every_subject_and_the_mean_are_shown(drawn):
    for name in ("score_by_language_model_size", "score_by_training_hours"):
        _, data = drawn[name]
        assert set(data[data.series == "points"].subject) == {*study.SUBJECTS, "pooled"}
        pooled = (
            data[(data.series == "points") & (data.subject == "pooled")].set_index(["model", "n_train"]).y
        )
        mine = data[(data.series == "points") & (data.subject != "pooled")]
        assert np.allclose(mine.groupby(["model", "n_train"]).y.mean().loc[pooled.index], pooled)


def test_draws_of_the_training_stories_are_shown(drawn):
    _, data = drawn["score_by_training_hours"]
    draws = data[data.series == "draws"]
    assert len(draws) == 3 * 3 * 5  # subjects, sizes below the full one, draws


def test_the_legend_names_the_base_of_its_percentage(drawn):
    stated = " ".join(texts(drawn["score_by_language_model_size"][0]))
    assert "fitted value at 2.03B parameters" in stated
    assert "per decade [" in stated
    hours = " ".join(texts(drawn["score_by_training_hours"][0]))
    assert "the middle of the points" in hours.replace("\n", " ")


def test_a_band_is_drawn_where_the_law_has_one(made):
    x = np.geomspace(1e8, 1e11, 9)
    band = {"law": "language", "subject": "pooled", "metric": "r2", "voxel_set": "all", "group": "all"}
    curves = pd.DataFrame({"x": x, "y": 0.03, "lo": 0.02, "hi": 0.04} | band).assign(
        points="all", form="log_linear"
    )
    figure, data = law(made | {"curves": curves}, "language")
    (fill,) = figure.axes[0].findobj(mpl.collections.FillBetweenPolyCollection)
    path = fill.get_paths()[0].vertices
    assert path[:, 1].min() == pytest.approx(0.02)
    assert path[:, 1].max() == pytest.approx(0.04)
    assert (data[data.form == "log_linear"].hi == 0.04).all()


def test_a_panel_for_each_voxel_set_and_a_line_through_each_family(made):
    fits = made["laws"].query("law == 'speech' and subject == 'pooled' and form == 'log_linear'")
    offsets = fits[fits.parameter == "b"].assign(parameter="offset:Whisper", estimate=0.01)
    sets = ["all", "roi:auditory", "roi:nowhere"]
    figure, data = law(made | {"laws": pd.concat([made["laws"], offsets])}, "speech", voxel_sets=sets)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["all voxels", "auditory voxels"]
    assert list(dict.fromkeys(data.voxel_set)) == sets[:2], "there are no points of the third"
    own = data[(data.series == "law") & (data.family == "Whisper") & (data.voxel_set == "all")]
    mean = scaling.law_line(fits.query("metric == 'r2' and voxel_set == 'all'"), own.x.to_numpy())
    np.testing.assert_allclose(own.y, mean.y + 0.01)
    assert "an intercept per family" in " ".join(texts(figure))


def test_the_plateau_sets_a_fixed_width_beside_the_raw_one(made):
    own = made["points"].query("law == 'language'").assign(law="language_fixed", y=lambda t: t.y * 0.8)
    fits = made["laws"].query("law == 'language'").assign(law="language_fixed")
    figure, data = outlook.draw_plateau(
        pd.concat([made["points"], own]),
        pd.concat([made["laws"], fits]),
        *made["bits"],
        arms={"language": "all features", "language_fixed": "64 components"},
    )
    stated = " ".join(texts(figure))
    assert "law of 64 components" in stated
    points = data[data.series == "points"]
    raw, fixed = (points[points.arm == arm].set_index("model").y for arm in ("all features", "64 components"))
    np.testing.assert_allclose(fixed, 0.8 * raw[fixed.index])


def test_a_lone_subject_needs_no_mean(made):
    points = made["points"][made["points"].subject == "UTS01"]
    laws = made["laws"][made["laws"].subject == "UTS01"]
    figure, data = law(made | {"points": points, "laws": laws}, "language")
    assert set(data.subject) == {"UTS01"}
    assert "law" in set(data.series)
    assert "mean of subjects" not in texts(figure)


def test_another_subject_is_reported_beside_the_gains(made, drawn):
    (said,) = [text for text in texts(drawn["what_next"][0]) if "Another subject" in text]
    assert said.replace("\n", " ").endswith("would be smaller by about 0.004 (0.002 to 0.009).")
    joint, surface, options = made["joint"]
    figure, _ = outlook.draw_what_next(joint, surface, options[options.option != "another subject"])
    assert not any("nother subject" in text for text in texts(figure))


def test_labels_of_contours_are_whole(drawn):
    figure, _ = drawn["what_next"]
    figure.draw_without_rendering()
    box = figure.axes[0].get_window_extent()
    labels = [one for one in figure.axes[0].findobj(mpl.text.Text) if re.fullmatch(r"0\.\d+", one.get_text())]
    inside = [one.get_window_extent() for one in labels if mpl.colors.same_color(one.get_color(), "white")]
    assert inside
    assert all(box.x0 < one.x0 and one.x1 < box.x1 and box.y0 < one.y0 and one.y1 < box.y1 for one in inside)


def test_a_flat_response_looks_flat_and_a_trend_has_an_interval(made, drawn):
    figure, data = drawn["ceiling_drift"]
    one = data[data.roi == "all"].drop_duplicates("repeat")
    assert np.allclose(one.slope, -0.01, atol=0.002)  # the trend of the made-up study
    assert (one.slope_hi < 0).all()
    assert ((one.lo < one.trend) & (one.trend < one.hi)).all()
    flat = made["drift"].assign(r=0.5 + 0.001 * made["drift"]["repeat"])
    for panels in (figure.axes, checks.draw_ceiling_drift(flat)[0].axes):
        assert all(np.ptp(axes.get_ylim()) > 0.1999 for axes in panels if axes.get_visible())
    assert "trend" not in checks.draw_ceiling_drift(flat[flat["repeat"] < 3])[1]


def test_voxels_that_are_not_predicted_have_no_colour(made):
    scores = made["scores"].query("subject == 'UTS02' and model == 'opt-30b'")
    tested = scores.assign(p=np.where(scores.voxel < 30, 1e-4, 0.6))
    _, data = maps.draw_score_maps(tested, made["voxels"])
    assert dict(zip(data.voxel, data.shown, strict=True)) == {voxel: voxel < 30 for voxel in scores.voxel}
    untested = maps._is_predicted(scores.assign(p=np.nan), 0.05)
    assert (untested == (scores.r > 0)).all()
    unknown = frames.with_place(made["stacking"], made["voxels"].assign(reference="none"))
    assert unknown.predicted.all()
    known = frames.with_place(made["stacking"], made["voxels"])
    assert known.predicted.sum() == made["voxels"].significant.sum()


def test_ceilings_are_of_every_subject_and_name_their_models(drawn):
    figure, data = drawn["map_ceiling"]
    assert set(data.subject) == {"UTS01", "UTS02"}
    assert any("opt-30b or whisper-large, whichever" in text for text in texts(figure))


def test_no_law_is_drawn_through_one_point(made):
    fits = made["laws"].query("law == 'language' and subject == 'pooled' and form == 'log_linear'")
    families = made["points"].query("law == 'language'").group.unique()
    offsets = [fits[fits.parameter == "b"].assign(parameter=f"offset:{name}") for name in families]
    one = made["points"].query("law == 'language' and group == @families[0]").x.min()
    kept = (made["points"].group != families[0]) | (made["points"].x == one)
    changed = {"laws": pd.concat([made["laws"], *offsets]), "points": made["points"][kept]}
    _, data = law(made | changed, "language")
    drawn = set(data[data.series == "law"].family.dropna())
    assert families[0] not in drawn
    assert drawn == set(families[1:])


def test_the_artifacts_band_is_that_of_the_difference(drawn):
    figure, data = drawn["long_context_artifact"]
    one = data[(data.voxel_set == "all") & (data.subject == "UTS01") & (data.model == "opt-30b")]
    assert (one.difference_hi - one.difference_lo).iloc[-3] < 1e-9, "none at the study's own cut"
    reached = [band.get_paths()[0].vertices[:, 1].max() for band in figure.axes[0].collections]
    assert max(reached) == pytest.approx(data[data.voxel_set == "all"].difference_hi.max())


def test_controls_set_every_model_beside_the_controls(drawn):
    figure, data = drawn["controls"]
    assert set(data.model) == set(study.MODELS)
    assert (data[data.model == "llama-7b"].modality == "control").all()
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert set(labels[:3]) == {"word_rate", "mel", "llama-7b"}  # controls at the foot
    bars = dict(zip(labels, (bar.get_width() for bar in figure.axes[0].patches), strict=True))
    assert bars["opt-30b"] == pytest.approx(data[data.model == "opt-30b"].score.mean())


def test_a_layer_swept_in_one_subject_is_not_compared_with_a_mean(made):
    rows = frames.full_training(made["summary"])
    swept = rows[(rows.model == "opt-30b") & (rows.subject == "UTS01")].assign(layer=0, mean_cv_r=0.9)
    chosen = frames.best_layer(pd.concat([rows, swept]))
    assert set(chosen[chosen.model == "opt-30b"].layer) == {36}
    everywhere = rows[rows.model == "opt-30b"].assign(layer=0, mean_cv_r=0.9)
    chosen = frames.best_layer(pd.concat([rows, everywhere]))
    assert set(chosen[chosen.model == "opt-30b"].layer) == {0}


def test_validation_counts_what_holds_and_shows_what_does_not(drawn):
    figure, data = drawn["validation"]
    left, right = figure.axes
    assert "5 of 6 checks hold" in [title.get_text() for title in right.findobj(mpl.text.Text)]
    assert len(data[data.series == "check"]) == 5
    hollow = [
        line for line in right.get_lines() if line.get_markerfacecolor() == "white" and len(line.get_xdata())
    ]
    assert [line.get_xdata().tolist() for line in hollow] == [[pytest.approx(2.0)]]  # truth 0.7 of 0.5 ± 0.1
    true_line = next(line for line in left.get_lines() if line.get_label() == "truth")
    assert np.allclose(true_line.get_ydata(), 0.1 + 0.06 * np.log10(true_line.get_xdata()))


def test_ceiling_quantities_leave_unreliable_voxels_out(made):
    table = frames.with_room(made["voxels"], room(made))
    assert table.ccnorm[~table.reliable].isna().all()
    known = table[table.reliable & table.r_ceiling.notna()]
    best = made["scores"].sort_values("cv_r").groupby(["subject", "voxel"]).r_ceiling.last()
    one = known.iloc[5]
    assert one.r_ceiling == pytest.approx(best.loc[(one.subject, one.voxel)])
    assert one.ccnorm == pytest.approx(one.r_ceiling / one.ccmax)
    assert one.room == pytest.approx(one.ccmax - one.r_ceiling)


def test_colours_say_what_lies_beyond_them(made):
    scores = made["scores"].assign(r=np.where(np.arange(len(made["scores"])) % 2, 0.5, 0.1))
    for low, extend in ((0.1, "neither"), (-0.2, "min")):
        part = scores.assign(r=scores.r.where(scores.r > 0.3, low))
        figure, _ = maps.draw_score_maps(part[part.subject == "UTS02"], made["voxels"])
        bars = [axes._colorbar for axes in figure.axes if getattr(axes, "_colorbar", None)]
        assert {bar.extend for bar in bars} == {extend}


def test_set_names_and_counts_read_well():
    assert frames.voxel_set_label("roi:early_auditory") == "early auditory"
    assert frames.voxel_set_label("decile:3") == "ceiling decile 3"
    assert frames.voxel_set_label("all") == "all"
    assert [style.format_count(n) for n in (1.25e8, 1.3e9, 999_999, 42)] == ["125M", "1.3B", "1M", "42"]


def test_no_subject_stands_for_a_mean_that_is_not_there():
    """Two subjects who share no pair of regions: both have thin lines, none that of a mean."""
    table = voxel_tables.asymmetry().query("subject in ('UTS01', 'UTS02') and model == 'opt-30b'")
    region = np.where(table.subject == "UTS01", "V1", "STS")
    figure, _ = comparisons.draw_asymmetry(table[table.region == region])
    widths = {width for lines in figure.axes[0].collections for width in lines.get_linewidth()}
    assert widths == {0.9}
