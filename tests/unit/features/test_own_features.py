"""Features of a user's own: every format gives the same rows, at the times that the test counts itself."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest

from voxscale.errors import UserError
from voxscale.features import controls, feature_attrs, feature_files, read_features
from voxscale.features.arrays import open_rows
from voxscale.features.own import OwnSources, StoryTimes, check_own, extract_own, read_own, resample_near
from voxscale.io import tables
from voxscale.timeseries import lanczos_resample

TR, BEFORE, AFTER, N = 2.0, 3, 2, 120
MIDS = TR * (np.arange(N) - BEFORE) + TR / 2


@pytest.fixture(scope="module")
def story():
    """A word every half second on average, most of them within the scans."""
    times = np.sort(np.random.default_rng(3).uniform(0, MIDS[-1], 500))
    inside = np.zeros(N, bool)
    inside[BEFORE:-AFTER] = True
    return StoryTimes([f"w{i % 7}" for i in range(len(times))], times, MIDS, inside)


def card(at, width=1, layers=(0,)):
    return {"model": "mine", "modality": "features", "at": at, "width": width, "layers": list(layers)}


def counted(story):
    """Words per second in each TR, counted one by one."""
    return np.array([[sum(abs(t - mid) < TR / 2 for t in story.times) / TR] for mid in MIDS])


def response(story):
    """A voxel that answers each word with a hump after 5 s: the sum over words, at each TR."""
    t = MIDS[:, None] - story.times - 5
    return np.exp(-0.5 * (t / 1.8) ** 2).sum(1)


def score(x, y):
    """Correlation of a response with its best prediction from the features of the last 12 s."""
    delayed = np.stack([np.roll(x[:, 0], d) for d in range(7)], 1)[10:]
    fitted = delayed @ np.linalg.lstsq(delayed, y[10:], rcond=None)[0]
    return np.corrcoef(fitted, y[10:])[0, 1]


def at_words(folder, story):
    np.save(folder / "a.npy", np.ones(len(story.times)))
    return "words", "npy"


def at_a_rate(folder, story):
    counts, _ = np.histogram(story.times, np.arange(0, MIDS[-1] + 1, 0.02))
    np.save(folder / "a.npy", counts[:, None])
    return {"rate_hz": 50, "start_s": 0.01}, "npy"


def at_own_times(folder, story):
    order = np.random.default_rng(0).permutation(len(story.times))
    pd.DataFrame({"rate": 1.0, "t": story.times[order]}).to_csv(folder / "a.csv", index=False)
    return {"times": "t"}, "csv"


def at_trs(folder, story):
    np.save(folder / "a.npy", counted(story)[story.in_response])
    return "trs", "npy"


@pytest.mark.parametrize("write", [at_words, at_a_rate, at_own_times, at_trs])
def test_the_word_rate_as_own_features_scores_on_counted_responses_at_no_other_shift(tmp_path, story, write):
    at, ending = write(tmp_path, story)
    found = read_own(card(at), {None: tmp_path / f"a.{ending}"}, story)[0]
    assert found.dtype == np.float32
    rate = controls.event_rate(story.times, controls.TrTimes(MIDS - 1, MIDS, MIDS + 1))
    if at == "trs":  # the control itself, where the responses are
        np.testing.assert_array_equal(found[story.in_response], rate[story.in_response])
        assert not found[~story.in_response].any()
        assert score(found, np.roll(counted(story)[:, 0], 2)) == pytest.approx(1)
    else:
        assert score(found, response(story)) == pytest.approx(1, abs=5e-4)
    shifts = np.linspace(-1.5, 1.5, 31)
    moved = [np.interp(MIDS - shift, MIDS, rate[:, 0])[BEFORE:-AFTER] for shift in shifts]
    best = np.argmax([np.corrcoef(found[BEFORE:-AFTER, 0], one)[0, 1] for one in moved])
    assert abs(shifts[best]) < 0.25


@pytest.mark.parametrize(("scale", "meets"), [(1, True), (2, False), (0.5, False), (1000, False)])
def test_times_that_hardly_meet_the_story_s_are_noted(tmp_path, story, scale, meets):
    times = np.linspace(MIDS[0], MIDS[-1] + 10, 1000) * scale
    np.savez(tmp_path / "a.npz", t=times, rate=times)
    note = check_own(card({"times": "t"}), {None: tmp_path / "a.npz"}, story)
    assert meets if note is None else not meets and "a.npz: its rows are at" in note


def test_trs_may_be_those_of_the_clock(tmp_path, story):
    np.save(tmp_path / "a.npy", counted(story))
    np.testing.assert_allclose(read_own(card("trs"), {None: tmp_path / "a.npy"}, story)[0], counted(story))


def test_many_samples_are_resampled_as_all_at_once():
    rng = np.random.default_rng(0)
    times = rng.uniform(-30, 260, 3000)
    values = rng.standard_normal((3000, 4)).astype(np.float32)
    expected = lanczos_resample(values, times, MIDS)
    np.testing.assert_allclose(resample_near(values, times, MIDS), expected, atol=1e-5)


VALUES = np.random.default_rng(1).standard_normal((500, 3))
LAYERS = np.stack([VALUES, 2 * VALUES])


def matlab(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array.T
            file[name].attrs["MATLAB_class"] = np.bytes_("double")


def hdf5(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


def table(values, **names):
    return pd.DataFrame(values, columns=["x", "y", "z"])


ONE = {
    "a.npy": lambda path: np.save(path, np.asfortranarray(VALUES.astype(">f8"))),
    "a.npz": lambda path: np.savez_compressed(path, anything=VALUES),
    "a.h5": lambda path: hdf5(path, features=VALUES),
    "a.mat": lambda path: matlab(path, features=VALUES),
    "a.csv": lambda path: table(VALUES).to_csv(path, index=False),
    "with index.csv": lambda path: table(VALUES).to_csv(path),
    "numbered.csv": lambda path: pd.DataFrame(VALUES).to_csv(path),
    "bare.csv": lambda path: pd.DataFrame(VALUES).to_csv(path, index=False, header=False),
    "german.csv": lambda path: table(VALUES).to_csv(path, sep=";", decimal=",", encoding="utf-8-sig"),
    "german, no names.tsv": lambda path: table(VALUES).to_csv(
        path, sep="\t", decimal=",", index=False, header=False
    ),
    "dos.tsv": lambda path: table(VALUES).to_csv(path, sep="\t", lineterminator="\r\n", index=False),
    "a.txt": lambda path: np.savetxt(path, VALUES, header="x y z"),
    "a.parquet": lambda path: table(VALUES).set_index(np.arange(500) * 3).to_parquet(path),
}
TWO = {
    "a.npy": lambda path: np.save(path, LAYERS),
    "a.npz": lambda path: np.savez(path, *LAYERS),
    "named.npz": lambda path: np.savez(path, layer_0=LAYERS[0], layer_1=LAYERS[1]),
    "a.h5": lambda path: hdf5(path, **{"1": LAYERS[1], "0": LAYERS[0]}),
    "a.mat": lambda path: matlab(path, features=LAYERS),
}


@pytest.mark.parametrize(("held", "name"), [*((VALUES[None], n) for n in ONE), *((LAYERS, n) for n in TWO)])
def test_every_format_gives_the_same_rows(tmp_path, held, name):
    (ONE if len(held) == 1 else TWO)[name](tmp_path / name)
    with open_rows(tmp_path / name) as rows:
        assert list(rows.layers) == list(range(len(held)))
        for stored, expected in zip(rows.layers.values(), held, strict=True):
            assert stored.shape == (500, 3)
            np.testing.assert_allclose(stored.read(), expected, rtol=1e-9)


def named(path, **arrays):
    with path.open("wb") as file:
        np.savez(file, **arrays)


def bad(column):
    values = VALUES.copy()
    values[17, 2] = column
    return values


REFUSED = {
    "has 499 rows, but the story has 500 words": ("words", lambda p: np.save(p, VALUES[1:])),
    "has 100 rows, but the story has 115 response TRs, or 120 with": (
        "trs",
        lambda p: np.save(p, VALUES[:100]),
    ),
    "layer 0, row 17, column 2, .* is nan": ("words", lambda p: np.save(p, bad(np.nan))),
    "layer 0, row 17, column 2, .* is 1e\\+300": ("words", lambda p: np.save(p, bad(1e300))),
    "has 2 columns, but other stories have 3": ("words", lambda p: np.save(p, VALUES[:, :2])),
    "its columns word hold text or lists, not numbers": (
        "words",
        lambda p: table(VALUES).assign(word="a").to_csv(p, index=False),
    ),
    "it holds a, b; name arrays by their layers": (
        "words",
        lambda p: named(p, a=VALUES, b=VALUES),
    ),
    r"has shape \(500, 3, 2\), which would be 500 layers": (
        "words",
        lambda p: np.save(p, np.ones((500, 3, 2))),
    ),
    "has layers 0, 1, but other stories have 0": ("words", lambda p: np.save(p, LAYERS)),
    "none of npy, npz, HDF5, parquet": ("words", lambda p: p.write_bytes(bytes(range(256)))),
    "has 0.1 rows per second, fewer than TRs": ({"rate_hz": 0.1, "start_s": 0}, lambda p: np.save(p, VALUES)),
    "has no t for its times": ({"times": "t"}, lambda p: np.save(p, VALUES)),
    "hold complex128, not numbers": ("words", lambda p: np.save(p, VALUES + 1j)),
    "Python objects": ("words", lambda p: np.save(p, np.array([{}, "a"], object))),
    "its first line, 0, 1, 2, may be the names .* name the columns": (
        "words",
        lambda p: pd.DataFrame(VALUES).to_csv(p, index=False),
    ),
    "is an empty file": ("words", lambda p: p.touch()),
}


@pytest.mark.parametrize("line", REFUSED)
def test_a_file_that_does_not_fit_is_named_with_what_is_wrong(tmp_path, story, line):
    at, write = REFUSED[line]
    path = tmp_path / "a.npy"
    write(path)
    with pytest.raises(UserError, match=rf"(?i)a\.npy: .*{line}"):
        read_own(card(at, 3), {None: path}, story)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("1;2,5\n3;4\n", [[1, 2.5], [3, 4]]),
        ("0\n1\n", [[0], [1]]),
        (",".join(map(str, range(10))) + "\n" + "5," * 9 + "5\n", [[5] * 10]),
        (",0,1\n0,7,8\n", [[7, 8]]),
    ],
)
def test_a_first_line_is_a_row_or_names(tmp_path, content, expected):
    (tmp_path / "a.csv").write_text(content)
    with open_rows(tmp_path / "a.csv") as rows:
        np.testing.assert_array_equal(rows.layers[0].read(), expected)


def test_a_file_of_one_layer_holds_one(tmp_path, story):
    np.save(tmp_path / "a.npy", LAYERS)
    with pytest.raises(UserError, match="the file of a layer must be"):
        read_own(card("words", 3, (6,)), {6: tmp_path / "a.npy"}, story)


@pytest.fixture
def told(tmp_path, story):
    """Tables of two stories, their files, and how to extract them: gives the names of the stories' files."""
    width = story.times[:, None] * [[1.0, 1.0]]
    rows = {"story": "a", "index": np.arange(500), "onset_s": width[:, 0], "offset_s": width[:, 1]}
    tables.write(
        "words", pd.DataFrame(rows | {"word": story.words}).to_dict("list"), tmp_path / "words.parquet"
    )
    clock = {"story": ["a"] * N, "row": np.arange(N), "onset_s": MIDS - 1, "mid_s": MIDS}
    tables.write("clock", clock | {"in_response": story.in_response}, tmp_path / "clock.parquet")
    (tmp_path / "card.json").write_text(json.dumps(card("words", 3)))

    def extract(digests):
        files = {s: {None: str(tmp_path / f"{s}.npy")} for s in "ab"}
        sources = {
            s: OwnSources(tmp_path / "clock.parquet", tmp_path / "words.parquet", files[s]) for s in files
        }
        by_path = {files[s][None]: digest for s, digest in digests.items()}
        index = tmp_path / "mine.h5"
        extract_own(
            tmp_path / "card.json", sources, by_path, index, tmp_path / "stories", {"on_disk": "float32"}
        )
        return feature_files(index)

    return extract


def test_only_the_story_of_a_changed_file_is_made_again(tmp_path, told):
    np.save(tmp_path / "a.npy", VALUES)
    np.save(tmp_path / "b.npy", VALUES)
    first = told({"a": "1", "b": "2"})
    (tmp_path / "a.npy").unlink()  # it is not read again
    np.save(tmp_path / "b.npy", 2 * VALUES)
    second = told({"a": "1", "b": "3"})
    assert second["a"] == first["a"]
    assert second["b"] != first["b"]
    a, b = (read_features(tmp_path / "mine.h5", s, 0) for s in "ab")
    np.testing.assert_allclose(2 * a, b, rtol=1e-5)
    assert feature_attrs(tmp_path / "mine.h5", "b")["model"] == "mine"
