"""The lag scan finds a story that is shifted, by how much, and nothing where there is nothing to find."""

import numpy as np
import simulated_lags as simulated

from voxscale.io import tables
from voxscale.scores import lags, write_lags


def misaligned(judged):
    return [story for story, found in judged.items() if found["misaligned"]]


def test_a_shifted_story_is_found_and_by_how_much():
    judged = simulated.judged(trs=200, share=0.15, late_s={"s2": -6.0}, seed=1)
    assert misaligned(judged) == ["s2"]
    assert abs(judged["s2"]["best_s"] + 6) <= 1
    assert judged["s2"]["best_lo"] <= -6 <= judged["s2"]["best_hi"] <= -4
    assert all(abs(judged[story]["best_s"]) <= 1 for story in judged if story != "s2")


def test_a_wrong_onset_of_all_stories_is_one_finding():
    judged = simulated.judged(trs=200, share=0.15, late_s={f"s{i}": 6.0 for i in range(6)})
    assert misaligned(judged) == [lags.ALL]
    assert abs(judged[lags.ALL]["best_s"] - 6) <= 1


def test_a_flat_curve_gives_no_warning_and_a_wide_interval():
    found = [simulated.judged(stories=4, trs=120, voxels=30, share=0.0, seed=seed) for seed in range(4)]
    assert sum(map(len, map(misaligned, found))) == 0
    width = [one["best_hi"] - one["best_lo"] for judged in found for one in judged.values()]
    assert np.median(width) > 6


def test_voxels_without_a_value_and_a_story_without_words_leave_the_others_alone(tmp_path):
    clock, words, heard = simulated.made(stories=4, trs=60, voxels=12)
    rates = {}
    for story, times in words.items():
        spoken = times if story != "s1" else np.empty(0)
        rate = np.stack([simulated.event_rate(spoken + s, clock)[:, 0] for s in lags.SHIFTS])
        rates[story] = lags.delayed_rate(rate, np.arange(75) < 60, (1, 2))
    heard["s0"][3, 5] = np.nan
    responses = simulated.SimpleNamespace(n_voxels=12, read=lambda story, part: heard[story][part])
    judged = lags.judge_stories(responses, rates, simulated.SETTINGS)
    assert np.isnan(judged["s1"][0]["best_s"])
    assert not judged["s1"][0]["misaligned"]
    assert all(np.isfinite(judged[story][1]["r"]).all() for story in ("s0", "s2", "s3", lags.ALL))


def test_tables_and_the_warning(tmp_path, capsys):
    inputs = simulated.write(tmp_path, trs=200, share=0.15, late_s={"s2": 4.0}, seed=2)
    paths = tmp_path / "lags.parquet", tmp_path / "curves.parquet"
    write_lags(*inputs, *paths, "S1", simulated.SETTINGS)
    rows = {row["story"]: row for row in tables.read("lags", paths[0]).to_pylist()}
    assert [row["role"] for row in rows.values()] == ["train"] * 5 + ["test", "all"]
    assert rows[lags.ALL]["n_tr"] == 6 * rows["s0"]["n_tr"] == 1200
    curves = tables.read("lag_curves", paths[1]).to_pandas()
    peaks = curves.loc[curves.groupby("story").r.idxmax()].set_index("story").shift_s
    assert peaks.to_dict() == {story: row["best_s"] for story, row in rows.items()}
    (warning,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("WARNING")]
    assert "S1, s2" in warning
    assert "4 s later" in warning
