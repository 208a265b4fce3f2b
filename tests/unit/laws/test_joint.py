"""The joint law: surfaces that went in come out, the corner is predicted, gains are those of the truth."""

import numpy as np
import pytest
from scipy import optimize, stats
from simulated_study import joint_points, plain_aicc, summary_row, write_moments, write_voxels

from voxscale.errors import UserError
from voxscale.io import tables
from voxscale.laws.joint import (
    another_subject,
    corner_error,
    joint_rows,
    mixed_interval,
    what_next,
    write_joint,
)
from voxscale.laws.likelihood import relative_likelihoods
from voxscale.laws.minima import design_lacks
from voxscale.laws.points import Point
from voxscale.laws.surfaces import SURFACES, fit_surface

N, D = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e8, 1e10, 4), np.geomspace(0.5, 16, 5)))
TRUTH = {
    "bilinear": lambda n, d: (
        0.02 + 0.02 * np.log10(n / 1e8) + 0.05 * np.log10(d) + 0.02 * np.log10(n / 1e8) * np.log10(d)
    ),
    "curve": lambda n, d: (0.1 + 0.04 * np.log10(n / 1e8)) * d / (d + 3),
    "powers": lambda n, d: 0.3 - 0.08 * (n / 1e8) ** -0.4 - 0.1 * d**-0.7,
}


@pytest.mark.parametrize("name", TRUTH)
def test_exact_surface_comes_back_and_extrapolates(name):
    fitted = fit_surface(SURFACES[name], N, D, TRUTH[name](N, D)[None], ceiling=0.5)
    assert fitted.rss[0] < 2e-6
    assert fitted.value(2e10, 32.0)[0] == pytest.approx(TRUTH[name](2e10, 32.0), abs=0.002)


@pytest.mark.parametrize("name", TRUTH)
def test_right_surface_wins_and_predicts_the_corner(name):
    rng = np.random.default_rng(0)
    y = TRUTH[name](N, D) + 0.002 * rng.normal(size=len(N))
    score = {
        form: plain_aicc(fit_surface(surface, N, D, y[None], 0.5).rss[0], len(N), surface.n_parameters)
        for form, surface in SURFACES.items()
    }
    assert min(score, key=score.get) == name
    assert abs(corner_error(name, N, D, y, 0.5)) < 0.006


def test_search_is_as_good_as_scipy():
    rng = np.random.default_rng(1)
    y = TRUTH["powers"](N, D) + 0.004 * rng.normal(size=(4, len(N)))
    fitted = fit_surface(SURFACES["powers"], N, D, y, ceiling=0.32)
    n, d = N / fitted.scale[0], D / fitted.scale[1]
    for study, rss in zip(y, fitted.rss, strict=True):
        best = min(
            2
            * optimize.least_squares(
                lambda p, study=study: p[0] - p[1] * n ** -p[3] - p[2] * d ** -p[4] - study,
                [0.2, 0.05, 0.05, *start],
                bounds=([-1, -2, -2, 0.02, 0.02], [0.32, 2, 2, 3, 3]),
            ).cost
            for start in ((0.3, 0.3), (1, 0.2), (0.1, 1.5))
        )
        assert rss <= best * 1.01


def test_one_endless_gain_narrows_no_interval():
    gains = np.random.default_rng(0).normal(10, 2, 1000)
    finite = mixed_interval({"a": gains}, {"a": 1.0}, 0.9, 12)
    gains[gains.argmax()] = np.inf
    endless = mixed_interval({"a": gains}, {"a": 1.0}, 0.9, 12)
    assert endless[1] == pytest.approx(finite[1], abs=0.3)
    assert endless[2] > finite[2] - 0.3


def test_gains_are_those_of_the_surface():
    fitted = fit_surface(SURFACES["curve"], N, D, TRUTH["curve"](N, D)[None].repeat(2, 0))
    gains = {(option, unit): values for option, unit, values in what_next(fitted, 1e10, 16.0, 3.0)}
    expected = TRUTH["curve"](1e10, 17) - TRUTH["curve"](1e10, 16)
    assert gains["one more hour", "metric"][0] == pytest.approx(expected, abs=1e-5)
    larger = gains["the next larger model (3 times the parameters)", "metric"][0]
    assert larger == pytest.approx(TRUTH["curve"](3e10, 16) - TRUTH["curve"](1e10, 16), rel=5e-3)
    hours = gains["hours worth twice the parameters", "h"][0]
    assert TRUTH["curve"](1e10, 16 + hours) == pytest.approx(TRUTH["curve"](2e10, 16), abs=1e-3)
    saturated = fit_surface(SURFACES["curve"], N, D, (N / N.max() + 0 * D)[None].repeat(2, 0))
    worth = {o: v for o, u, v in what_next(saturated, 1e10, 16.0, 3.0) if u == "h"}
    assert np.isinf(worth["hours worth twice the parameters"]).all(), "no hours make up for it"


def test_interval_holds_whichever_form_is_true():
    likelihoods = relative_likelihoods({"a": 10.0, "b": 10 + 2 * np.log(2), "c": 60.0})
    assert likelihoods == pytest.approx({"a": 1, "b": 0.5, "c": 0}, abs=1e-9)
    spread = np.random.default_rng(0).normal(0, 0.1, 20000)
    gains = {"a": 1 + spread, "b": 2 + spread, "c": 9 + spread}
    gain, lo, hi = mixed_interval(gains, likelihoods, 0.9, 10**9)
    assert (lo, hi) == pytest.approx(
        (1 + 0.1 * stats.norm.ppf(0.05), 2 + 0.1 * stats.norm.ppf(0.9)), abs=0.01
    )
    assert lo < gain < hi, "the median of all, by weight"
    assert np.isnan(mixed_interval({"a": spread * np.nan}, {"a": 1.0}, 0.9, 30)).all()


@pytest.mark.parametrize(("k", "bound"), [(0.7131, []), (1e5, ["k"])])
def test_k_is_found_between_the_values_of_the_grid_or_is_said_to_be_at_its_bound(k, bound):
    y = (0.2 + 0.04 * np.log10(N / 1e8)) * D / (D + k)
    fitted = fit_surface(SURFACES["curve"], N, D, y[None] / y.max(), 2.0)
    assert fitted.at_bound(2.0) == bound
    assert bound or fitted.nonlinear[0, 0] * fitted.scale[1] == pytest.approx(k, rel=1e-5)


def test_powers_say_what_is_at_its_bound():
    y = 0.5 - 0.08 * (N / 1e8) ** -0.4 - 0.1 * D**-0.7
    assert fit_surface(SURFACES["powers"], N, D, y[None], 1.0).at_bound(1.0) == []
    assert fit_surface(SURFACES["powers"], N, D, y[None], 0.4).at_bound(0.4)[0] == "c"


def test_intervals_of_the_next_gain_cover_it():
    """A small run of what benchmarks/validate_intervals.py does at length."""
    sizes, hours = [1e8, 1e9, 1e10], [1, 2, 4, 8]

    def truth(n, d):  # gains more from hours than any other form that fits as well
        return 0.08 + 0.05 * np.log10(n / 1e8) + (0.06 + 0.01 * np.log10(n / 1e8)) * np.log10(d)

    covered = []
    for seed in range(6):
        points = joint_points(truth, sizes, hours, voxels=8, trs=300, seed=seed, draws=40)
        for row in joint_rows("S", points, "all", 0, 0.9)[2]:
            if row["option"] == "one more hour" and row["unit"] == "metric":
                covered.append(row["lo"] < truth(1e10, 9) - truth(1e10, 8) < row["hi"])
    assert sum(covered) >= 4, "five or six are expected"


def test_too_small_a_design_gives_no_advice():
    def truth(n, d):
        return 0.1 + 0.03 * np.log10(n / 1e8) + 0.04 * np.log10(d)

    points = joint_points(truth, [1e8, 1e9], [1, 4], voxels=4, trs=100, draws=20)
    rows, surface, options = joint_rows("S", points, "all", 0, 0.9)
    assert {row["form"]: np.isfinite(row["rss"]) for row in rows} == {
        "bilinear": False,
        "curve": True,
        "powers": False,
    }
    assert design_lacks(2, 2) == "2 models at 2 training sizes (3 at 4 are needed)"
    assert design_lacks(3, 4) is None
    rows, surface, options = joint_rows("S", points, "all", 0, 0.9, missing=["models"])
    assert len(rows) == 3
    assert not any(row["preferred"] or np.isfinite(row["rss"]) for row in rows)
    assert not surface
    assert not options


def test_another_subject_is_worth_what_the_spread_of_subjects_tells():
    rng = np.random.default_rng(0)

    def study(n):
        return {
            f"S{i}": [Point({}, 1.0, 10, {"all": np.array([[y]])}, {}, {})]
            for i, y in enumerate(rng.normal(size=n))
        }

    covered = []
    for _ in range(400):
        change, lo, hi = another_subject(study(5), "all", 0, 0.9)
        assert lo < change < hi < 0
        covered.append(lo < stats.t.ppf(0.95, 5) / np.sqrt(6) - stats.t.ppf(0.95, 4) / np.sqrt(5) < hi)
    assert 0.86 < np.mean(covered) < 0.94
    assert another_subject(study(1), "all", 0, 0.9) is None


@pytest.fixture
def study(tmp_path):
    rng = np.random.default_rng(2)
    cells, moments, rows = [], [], []
    for subject in ("S1", "S2"):
        p, noise = rng.normal(size=(2, 20, 1500))
        observed = p + noise
        for size in (10, 100, 1000):
            for n_train in (2, 4, 8, 16):
                predicted = p + rng.normal(size=(1, 20, 1500)) * 6 / np.sqrt(n_train) / np.log10(size * 5)
                cells.append((f"m{size}", 1, subject, n_train))
                path = tmp_path / f"{subject}-{size}-{n_train}.h5"
                moments.append(write_moments(path, predicted, observed, {"a": 1500}))
                known = {"model": f"m{size}", "subject": subject, "n_train": n_train, "parameters": size}
                rows.append(summary_row(**known, train_hours=n_train / 4))
    tables.write("summary", rows, tmp_path / "summary.parquet")
    write_voxels(tmp_path / "voxels.parquet", ["S1", "S2"], 20)
    return cells, moments, tmp_path


SPEC = {"voxels": ["all"], "n_draws": 1, "n_train": [2, 4, 8, 16], "stories": {"S1": 20, "S2": 20}}


def test_tables_of_a_study(study):
    cells, moments, folder = study
    outputs = [folder / f"{name}-out.parquet" for name in ("joint", "surface", "next")]
    settings = {"skip_s": 0, "tr_s": 2.0, "draws": 60, "interval": 0.9, "seed": 0, "layer_choice": "cv"}
    inputs = folder / "summary.parquet", folder / "voxels.parquet"
    write_joint(cells, moments, *inputs, *outputs, SPEC, settings)
    joint = tables.read("joint", outputs[0]).to_pandas()
    assert set(joint.subject) == {"S1", "S2", "pooled"}
    assert (joint.n_points > joint.n_parameters).all()
    assert joint.groupby(["subject", "metric"]).preferred.sum().eq(1).all()
    surface = tables.read("joint_surface", outputs[1]).to_pandas()
    seen = surface[surface.observed.notna() & (surface.metric == "r")]
    assert len(seen) >= 36
    assert joint.lacking.isna().all()
    assert joint.left_out.isna().all()
    assert (seen.fitted - seen.observed).abs().max() < 0.05
    table = tables.read("what_next", outputs[2]).to_pandas()
    more = table[(table.option == "one more hour") & (table.unit == "metric") & (table.metric == "r")]
    assert ((more.lo < more.gain) & (more.gain < more.hi)).all()
    assert (more.gain > 0).all()
    width = table[(table.option == "another subject") & (table.metric == "r")].iloc[0]
    assert width.lo < width.gain < width.hi < 0, "one more subject narrows the mean's interval"
    one = [i for i, cell in enumerate(cells) if cell[0] == "m10"]
    some = [cells[i] for i in one], [moments[i] for i in one]
    with pytest.raises(UserError, match=r"joint\.sweep: needs at least two models"):
        write_joint(*some, *inputs, *outputs, SPEC, settings)
