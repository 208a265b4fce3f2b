"""Files that are damaged, or that stand in another one's place: reported with their names, never used."""

import damage
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from voxscale.dataset.responses import RESPONSES_FORMAT
from voxscale.encoding.moments import write_moments
from voxscale.errors import UserError
from voxscale.features import store
from voxscale.figures.files import save_figure
from voxscale.io import SCHEMAS, add_array, checked, new_hdf5, read_json, set_attributes, tables, write_json
from voxscale.statistics import TimeBlocks

RNG = np.random.default_rng(0)


def responses(folder, name):
    path, values = folder / f"responses/{name}.h5", RNG.normal(size=(70, 40)).astype(np.float32)
    with new_hdf5(path) as file:
        add_array(file, "voxels", np.arange(70))
        story = file.create_group("story")
        story.create_dataset("data", data=values, **checked(values.shape, (64, 40)))
        set_attributes(story, {"n_trs": 40, "n_repeats": 0})
        about = {"format": RESPONSES_FORMAT, "stories": '["story"]', "test_stories": "[]", "provenance": "{}"}
        set_attributes(file, about)
    return path


def story_features(folder, name):
    path = folder / f"features/stories/opt/{name}.h5"
    store.write_features(path, {4: RNG.normal(size=(70, 8))}, {"model": "opt", "bits_per_character": 1.5})
    return path


def index(folder, name):
    path = folder / f"features/{name}.h5"
    store.write_feature_index(path, {story: folder / f"{story}.h5" for story in (*"abcdefghij", name)})
    return path


def moments(folder, name):
    path, values = folder / f"moments/{name}.h5", RNG.normal(size=(1, 14, 5, 40)).astype(np.float32)
    blocks = TimeBlocks(np.full(14, 10), np.array([name] * 14), np.arange(14) * 10)
    write_moments(path, values, 1, blocks, np.arange(40), {"cell": name})
    return path


def table(folder, name):
    path, drawn = folder / f"tables/{name}.parquet", RNG.integers(0, 1 << 16, 200).tolist()
    kinds = {"string": lambda n: f"{n} {name}", "bool": lambda n: bool(n % 2)}
    columns = {f.name: [kinds.get(str(f.type), lambda n: n)(n) for n in drawn] for f in SCHEMAS["voxels"]}
    tables.write("voxels", columns, path, {"by": "test"})
    return path


def card(folder, name):
    write_json(folder / f"models/{name}.json", {"model": name, "n_layers": 4, "noise": [0.5]})
    return folder / f"models/{name}.json"


def figure(folder, name):
    drawn, axes = plt.subplots(figsize=(1, 1))
    axes.plot(RNG.normal(size=5))
    path = folder / f"figures/{name}.png"
    data = pd.DataFrame({"x": RNG.normal(size=5)})
    save_figure(drawn, data, path, path.with_suffix(".pdf"), path.with_suffix(".csv"))
    plt.close(drawn)
    return path


def numbers(folder, name):
    return figure(folder, name).with_suffix(".csv")


READ = {kind: read for kind, (_, read) in damage.KINDS.items()}
MADE = {
    "responses": responses,
    "story features": story_features,
    "index": index,
    "moments": moments,
    "voxels": table,
    "card": card,
    "figure": figure,
    "numbers": numbers,
}


@pytest.mark.parametrize("kind", MADE)
def test_damage_is_told_or_changes_nothing(kind, tmp_path):
    path, other = (MADE[kind](tmp_path / "results", name) for name in ("one", "two"))
    found = dict(damage.try_file(READ[kind], path, other.read_bytes(), flips=60))
    assert set(found.values()) <= {"told", "harmless"}, found
    assert {found[name] for name in ("halved", "emptied", "zeroed", "swapped", "folder")} == {"told"}


def test_a_file_in_another_ones_place_is_named(tmp_path):
    one, two = (card(tmp_path / "results", name) for name in ("one", "two"))
    two.replace(one)
    with pytest.raises(UserError, match=r"models/one\.json: .* that of results/models/two\.json; delete it"):
        read_json(one)


def test_results_may_be_moved_as_a_whole(tmp_path):
    one = card(tmp_path / "here/results", "one")
    (tmp_path / "here").rename(tmp_path / "there")
    assert read_json(tmp_path / "there" / one.relative_to(tmp_path / "here"))["model"] == "one"
