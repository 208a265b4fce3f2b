"""What the report says: its numbers, sentences and warnings."""

import re

import numpy as np
import pandas as pd
import study_tables as study

from voxscale.report import content
from voxscale.report import warnings as report_warnings

LAWS = {"language": "parameters", "speech": "parameters", "training": "hours"}  # what each runs over
CHIEF = {kind: kind for kind in LAWS}


ALPHAS = {"scale": "kernel", "log10_min": -2, "log10_max": 1}


def ranked(tables, alphas=ALPHAS, **changed):
    """Rank and sentence of every warning."""
    shown = {name: changed.get(name, tables[name]) for name in ("summary", "laws", "joint")}
    said = [changed.get(name, ()) for name in ("found", "notes", "cautions")]
    found = report_warnings.warnings(*shown.values(), alphas, *said)
    return [(rank, text) for rank, texts in found.items() for text in texts]


def stated(tables, **changed):
    return " ".join(text for _, text in ranked(tables, **changed))


def test_warnings_name_what_and_where(tables):
    said = stated(tables, found=["a file"], notes=["a note", "a caution"], cautions=["a caution"])
    assert said.startswith("a file")
    assert said.endswith("a note")
    assert said.count("a caution") == 1
    assert (report_warnings.WEAK, "a caution") in ranked(tables, cautions=["a caution"])
    assert "grid" not in said, "only a control is at the end of the grid"
    assert "UTS02: 2." in said
    assert "p > n" in said
    assert "fewer than 6 points: speech, training" in said


def test_an_end_of_the_grid_is_urgent_only_where_a_wider_grid_would_help(tables):
    calm = tables["summary"].assign(n_nan=0, wide=False)
    worst = (calm.model == "opt-30b") & (calm.subject == "UTS01")
    edge = np.where(worst, 0.08, 0.01)
    laws = tables["laws"].assign(n_points=9)
    quiet = {"laws": laws, "summary": calm}
    assert ranked(tables, **quiet) == []
    low = calm.assign(share_alpha_edge=edge, share_alpha_low=edge)
    took = (
        "More than 5% of the significant voxels take an alpha at the grid's end: the smallest in 1 of 27 "
        "fits to all training stories (at most 8%: opt-30b, layer 36, UTS01)."
    )
    ((rank, text),) = ranked(tables, **quiet | {"summary": low})
    assert rank == report_warnings.WRONG
    assert text.startswith(took)
    assert text.endswith("lower encoding.alphas.log10_min, and encoding.alphas.n in proportion.")
    both = calm.assign(share_alpha_edge=2 * edge, share_alpha_low=edge)
    ((_, text),) = ranked(tables, **quiet | {"summary": both})
    assert "lower encoding.alphas.log10_min and raise encoding.alphas.log10_max" in text, "in one sentence"
    two = low.assign(n_voxels=25)
    assert ranked(tables, **quiet | {"summary": two}) == [], "two voxels are no ground for advice"
    # The grids of both presets go as far as alpha matters.
    strict = ALPHAS | {"log10_min": -3, "log10_max": 2}
    ((rank, text),) = ranked(tables, strict, **quiet | {"summary": both})
    assert rank == report_warnings.NOTED
    assert "encoding.alphas" not in text
    paper = {"scale": "absolute", "log10_min": 1, "log10_max": 4}
    said = dict(ranked(tables, paper, **quiet | {"summary": both}))
    assert "the largest" in said[report_warnings.NOTED]
    assert "lower encoding.alphas.log10_min" in said[report_warnings.WRONG]


def test_what_is_left_out_lacking_or_differs_by_metric_is_said(tables):
    summary, laws = tables["summary"].assign(n_nan=0, wide=False), tables["laws"].assign(n_points=9)
    summary["n_voxels"] = summary.n_voxels.mask(summary.model == "mel", 0)
    mine = (laws.law == "language") & (laws.subject == "pooled")
    laws["left_out"] = laws.left_out.mask(mine & (laws.voxel_set == "roi:sts"), "UTS02 (no voxel)")
    laws["lacking"] = laws.lacking.mask(laws.law == "speech", "2 models (4 are needed)")
    laws["preferred"] = (laws.form == "saturating") != (laws.metric == "r")
    joint = tables["joint"].assign(lacking="2 models at 2 training sizes (3 at 4 are needed)")
    said = stated(tables, summary=summary, laws=laws, joint=joint)
    assert "mel, layer 0, UTS01, 27 stories has no score at all" in said
    assert "Law language leaves out UTS02 (no voxel): pooled, roi:sts, all." in said
    assert "Law speech has too little for a conclusion: 2 models (4 are needed)." in said
    assert "Law language: the preferred form differs by metric" in said
    assert "No next step is advised: 2 models at 2 training sizes" in said
    tiles = content.facts(tables | {"laws": laws}, LAWS, CHIEF)
    assert not any("speech law" in tile["label"] for tile in tiles), "no headline from too little"
    some = summary[(summary.model != "opt-30b") | (summary.subject == "UTS01")]
    some = some[(some.model != "opt-13b") | (some.n_train < 27)]
    said = stated(tables, summary=some, laws=laws, joint=joint)
    assert "Means over subjects are over some of them only for opt-30b (UTS01)." in said


def test_few_points_of_a_family_or_a_narrow_law_are_no_warning(tables):
    laws = tables["laws"].assign(n_points=9)
    few = laws[laws.law == "language"].assign(n_points=3)
    parts = [laws, few.assign(points="narrow"), few.assign(group="OPT"), few.assign(voxel_set="roi:sts")]
    said = stated(tables, laws=pd.concat(parts))
    assert "fewer than 6 points" not in said


def test_tiles_give_the_absolute_rise_first(tables):
    tiles = content.facts(tables, LAWS, CHIEF)
    laws = [tile for tile in tiles if "per decade" in tile["label"]]
    assert len(laws) == 3
    for tile in laws:
        assert re.fullmatch(r"[+−][\d.e−]+", tile["value"])
        assert re.match(r"\[[+−\d.e]+, [+−\d.e]+\] \w+ law, signed r² per decade; \+\d+ \[", tile["label"])
    nothing = tables["laws"].parameter == "percent_per_decade"
    unknown = tables["laws"].assign(estimate=tables["laws"].estimate.mask(nothing))
    tiles = content.facts(tables | {"laws": unknown}, LAWS, CHIEF)
    assert not any("%" in tile["label"] for tile in tiles), "no percentage of a score that may be 0"
    assert content.between(unknown[nothing].iloc[0]).startswith("–")
    assert "[" not in content.between(unknown.assign(lo=np.nan).iloc[0])


def test_the_summary_states_what_was_measured_found_and_how_sure(tables):
    said = content.abstract(tables, CHIEF, 0.9, warned=2)
    measured, found, sure = re.split(r"(?<=\.) (?=[A-Z])", said)
    assert re.match(
        r"\d+ subjects listened to stories: from up to \d+(\.\d+)? hours of them, the responses to", measured
    )
    best = max(content.model_rows(tables["summary"]), key=lambda row: row["mean r"])
    assert f"highest in {best['model']} ({best['mean r']:.3f})" in found
    fits = {law: fit for law, metric, fit in content.headlines(tables["laws"]) if metric == "r"}
    assert found.count(" with ten times ") == len(CHIEF)
    for law in CHIEF.values():
        assert content.between(fits[law].loc["per_decade"], "{:+.2g}") in found
    assert sure == "Brackets are 90% intervals; read the 2 warnings below first."
    one = tables | {"summary": tables["summary"].query("subject == 'UTS01'")}
    said = content.abstract(one, {}, 0.9, warned=1)
    assert said.startswith("1 subject listened")
    assert "no conclusion" not in said, "nothing was asked about growth"
    assert "the 1 warning below" in said
    lacking = tables | {"laws": tables["laws"].assign(lacking="models")}
    assert "allows no conclusion" in content.abstract(lacking, CHIEF, 0.9, warned=0)


def test_warnings_of_the_study_s_own_logs_are_reported_once(tmp_path):
    logs = [tmp_path / f"{name}.log" for name in ("a", "b", "absent")]
    for log in logs[:2]:
        log.write_text("hello\nWARNING s.hf5: 3 values\nnot a WARNING\n")
    (tmp_path / "left-out.log").write_text("WARNING t.hf5: of a subject that was taken out\n")
    assert report_warnings.log_notes(logs) == ["s.hf5: 3 values"]
    assert report_warnings.log_notes([]) == []


def test_subjects_are_counted(tables):
    rows = content.subject_rows(tables["subjects"], tables["voxels"], tables["summary"])
    assert [row["subject"] for row in rows] == list(study.SUBJECTS)
    assert rows[0]["training stories"] == study.FULL
    assert rows[0]["training TRs"] == 340 * study.FULL
    assert rows[0]["test stories"] == "wheretheressmoke"
    mine = tables["voxels"].query("subject == 'UTS01'")
    assert (rows[0]["voxels"], rows[0]["significant"]) == (40, mine.significant.sum())


def test_hours_are_those_that_a_fit_is_trained_on(tables):
    """In four folds of a subject's stories a fit has three quarters of them."""
    subjects = pd.DataFrame({"subject": "UTS01", "story": list("abcd"), "hours": 0.25, "n_tr": 450})
    subjects["role"] = [f"fold {i}" for i in (1, 2, 3, 4)]
    summary = tables["summary"].query("subject == 'UTS01'")
    summary = summary[summary.n_train == study.FULL].assign(n_train=3, train_hours=0.75, train_trs=1350)
    (row,) = content.subject_rows(subjects, tables["voxels"], summary)
    assert (row["training stories"], row["training hours"], row["training TRs"]) == (3, 0.75, 1350)
    assert row["test stories"] == "4, in 4 folds"
    given = {**tables, "subjects": subjects, "summary": summary}
    assert content.facts(given, {}, {})[1]["value"] == "45 min"
    assert "from up to 0.75 hours of them" in content.abstract(given, {}, 0.9, 0)


def test_cells_of_tables_read_well():
    shown = [content.cell(v) for v in (None, float("nan"), True, 12345, -0.012345, np.float64(2), "x-1")]
    assert shown == ["–", "–", "yes", "12,345", "−0.0123", "2", "x-1"]
