"""The phantom dataset: its layout is the published one, and the same bytes come out every time."""

import hashlib
import itertools
import json
import shutil

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from praatio import textgrid

from voxscale.dataset import PROSE
from voxscale.errors import UserError
from voxscale.phantom import grids, patches, prose, speech
from voxscale.phantom.brain import noise_within
from voxscale.phantom.writing import scan_subject, write_stimuli

TEST, TRAINING = "harbor", ["garden", "kettle", "letters"]
TEXTS = {
    "garden": "My father kept a garden at the top of the hill. He said that it was going to be an easy year. "
    "It wasn't. I did what I could, and he did it again the next day, because that is what you do.",
    "kettle": "The kettle was on. I could hear it in the dark, and I knew who it was. He had come home! "
    "Nobody said a word about it, and so I put out the cups and I sat down in front of him.",
    "letters": "There were letters in the wall. Who puts letters in a wall? I read one of them out loud, and "
    "it began with my own name. I had to stop for a while, and then I read the rest of it.",
    "harbor": "At the end of the pier there was a man with a lamp. I asked him what he was waiting for, and "
    "he told me it was the same boat as every night. I waited with him, out of politeness. It began to rain. "
    "He gave me half of his coat, and he told me about the boat, and about his wife who sailed it. She had "
    "been late before. Then, a little after four in the morning, we heard the bell.",
}
TEXTS = {name: f"{text} {text}" for name, text in TEXTS.items()}  # 20 s or more each
SUBJECTS = ["UTS01", "UTS02"]
SETTINGS = {
    "seed": 3,
    "voxels": 60,
    "repeats": 4,
    "test_stories": [TEST],
    "training_stories": TRAINING,
    "words_per_story": None,
    "words_per_minute": 140,
    "skip_s": 100,
}


def write(root, truth, settings, texts, subjects=SUBJECTS):
    write_stimuli(root, truth, settings, texts)
    for subject in subjects:
        scan_subject(root, truth, subject)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prose")
    for name, text in TEXTS.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


@pytest.fixture(scope="module")
def phantom(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("phantom")
    write(folder / "data", folder / "truth", SETTINGS, texts)
    return folder


def _digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_settings_give_the_same_bytes(phantom, texts, tmp_path):
    # What was spoken before must not matter: the synthesiser remembers the phase of its voice.
    speech.speak("And now for something else.", "other")
    write(tmp_path / "data", tmp_path / "truth", SETTINGS, texts)
    assert _digests(tmp_path) == _digests(phantom)


def test_another_seed_gives_other_responses(phantom, texts, tmp_path):
    write(tmp_path / "data", tmp_path / "truth", SETTINGS | {"seed": 4}, texts, ["UTS01"])
    name = "derivative/preprocessed_data/UTS01/garden.hf5"
    with h5py.File(phantom / "data" / name) as one, h5py.File(tmp_path / "data" / name) as other:
        n = min(len(one["data"]), len(other["data"]))
        assert abs(np.corrcoef(one["data"][:n].ravel(), other["data"][:n].ravel())[0, 1]) < 0.2


def test_a_subject_is_scanned_alone(phantom, tmp_path):
    shutil.copytree(phantom / "truth", tmp_path / "truth")
    scan_subject(tmp_path / "data", tmp_path / "truth", "UTS02")
    own = _digests(tmp_path / "data")
    assert own == {name: digest for name, digest in _digests(phantom / "data").items() if "UTS02" in name}


def test_files_are_those_of_the_published_dataset(phantom):
    found = {
        name for name in _digests(phantom / "data") if "/voxels/" not in name and "/latents/" not in name
    }
    stories = [TEST, *TRAINING]
    assert found == (
        {"derivative/respdict.json"}
        | {f"stimuli/{story}.wav" for story in stories}
        | {f"derivative/TextGrids/{story}.TextGrid" for story in stories}
        | {f"derivative/preprocessed_data/{s}/{story}.hf5" for s in SUBJECTS for story in stories}
    )


@pytest.mark.parametrize("story", [TEST, *TRAINING])
def test_responses_have_the_published_shapes(phantom, story):
    trs = json.loads((phantom / "data/derivative/respdict.json").read_text())[story]
    sound = soundfile.info(phantom / f"data/stimuli/{story}.wav")
    assert (sound.channels, sound.samplerate, sound.subtype) == (1, 16_000, "PCM_16")
    # The stimulus clock has respdict - 5 TRs of 2 s from 10 s before the sound; it reaches 10 s behind it.
    end_s = 2 * (trs - 5) - 10
    assert sound.duration + 10 <= end_s < sound.duration + 12
    latent = np.load(phantom / f"data/derivative/latents/{story}.npy")
    assert latent.dtype == np.float32
    assert latent.shape == (trs - 5, 32)
    with h5py.File(phantom / f"data/derivative/preprocessed_data/UTS01/{story}.hf5") as file:
        assert file["data"].dtype == np.float64
        assert file["data"].shape == (trs - 20, 60)
        assert np.isfinite(file["data"]).all()
        assert ("individual_repeats" in file) == (story == TEST)
        if story == TEST:
            assert file["individual_repeats"].shape == (4, trs - 20, 60)
            np.testing.assert_allclose(file["individual_repeats"][:].mean(0), file["data"][:], atol=1e-12)


def test_repeats_differ_only_in_their_noise(phantom):
    truth = pq.read_table(phantom / "truth/UTS01.parquet").to_pandas()
    with h5py.File(phantom / f"data/derivative/preprocessed_data/UTS01/{TEST}.hf5") as file:
        repeats = file["individual_repeats"][:]
    noise = (repeats - repeats.mean(0)).var(0).mean() / (3 / 4)
    # Mean noise power over 60 voxels, as the truth has it for one hearing (rows not cut: the story is short).
    assert noise == pytest.approx(truth.noise_power_uncut.mean(), rel=0.15)


@pytest.mark.parametrize("story", [TEST, *TRAINING])
def test_textgrids_hold_every_word_in_order(phantom, story):
    grid = textgrid.openTextgrid(
        str(phantom / f"data/derivative/TextGrids/{story}.TextGrid"), includeEmptyIntervals=True
    )
    assert grid.tierNames == ("phone", "word")
    for name in grid.tierNames:
        entries = grid.getTier(name).entries
        assert entries[0].start == 0
        assert entries[-1].end == grid.maxTimestamp
        assert all(a.end == b.start and a.end > a.start for a, b in itertools.pairwise(entries))
    words = [entry for entry in grid.getTier("word").entries if entry.label != grids.SILENCE]
    assert [word.label for word in words] == prose.words(TEXTS[story])
    lengths = np.array([word.end - word.start for word in words])
    assert lengths.min() > 0.02
    assert lengths.max() < 1.2


def test_words_spoken_as_one_share_its_phones():
    said = speech.speak("He stood at the top of the stairs, and it was going to be an easy night.", "x")
    by_word = {word.label: word for word in said.words}
    phones = [phone for phone in said.phones if phone.onset_s >= by_word["of"].onset_s]
    of = [phone.label for phone in phones if phone.offset_s <= by_word["of"].offset_s + 1e-6]
    assert of == ["V", "v"]  # "of" ends before "the" begins, though the synthesiser speaks them as one
    for word in said.words:
        assert any(abs(phone.onset_s - word.onset_s) < 1e-9 for phone in said.phones)


def test_sound_is_loud_in_words_and_silent_between_them():
    said = speech.speak("I waited. Nobody came. I waited again.", "x", seed=2)
    sound = said.sound.astype(float) / 32768
    power = [np.mean(sound[int(a * 16000) : int(b * 16000)] ** 2) for a, b, _ in said.words]
    gaps = [
        np.mean(sound[int(one.offset_s * 16000) + 200 : int(two.onset_s * 16000) - 200] ** 2)
        for one, two in itertools.pairwise(said.words)
        if two.onset_s - one.offset_s > 0.1
    ]
    assert len(gaps) == 2
    assert min(power) > 30 * max(gaps)


def test_limit_cuts_words(texts, tmp_path):
    write(tmp_path / "d", tmp_path / "t", SETTINGS | {"words_per_story": 55}, texts, [])
    for story, n in [("garden", 55), (TEST, 110)]:
        grid = textgrid.openTextgrid(
            str(tmp_path / f"d/derivative/TextGrids/{story}.TextGrid"), includeEmptyIntervals=False
        )
        words = [entry.label for entry in grid.getTier("word").entries if entry.label != grids.SILENCE]
        assert words == prose.words(TEXTS[story])[:n]


def test_voxels_are_patches_on_the_cortex(phantom):
    lines = (phantom / "data/derivative/voxels/UTS01.tsv").read_text().splitlines()
    assert lines[0] == "voxel\themisphere\tvertex\troi"
    rows = [line.split("\t") for line in lines[1:]]
    assert [int(row[0]) for row in rows] == list(range(60))
    assert len({(row[1], row[2]) for row in rows}) == 60
    other = (phantom / "data/derivative/voxels/UTS02.tsv").read_text().splitlines()
    assert other != lines
    meshes = {side: patches.read_mesh(side) for side in ("left", "right")}
    placed = patches.place_voxels(1000, np.random.default_rng(0))
    for patch in patches.PATCHES.itertuples():
        member = (placed.area == patch.area) & (placed.hemisphere == patch.hemisphere)
        points = meshes[patch.hemisphere][0][placed.vertex[member]]
        # Every patch lies around its place, within the reach of its area.
        assert np.median(np.linalg.norm(points - [patch.x, patch.y, patch.z], axis=1)) < 30
        assert (points[:, 0] < 5).all() if patch.hemisphere == "left" else (points[:, 0] > -5).all()


def test_variance_of_slow_noise_about_its_mean():
    rng = np.random.default_rng(0)
    memory, n = 0.5, 12
    x = rng.standard_normal((n, 40_000))
    for t in range(1, n):
        x[t] = memory * x[t - 1] + np.sqrt(1 - memory**2) * x[t]
    assert noise_within(np.array([memory]), n)[0] == pytest.approx(x.var(0).mean(), rel=0.01)


def test_the_stories_of_the_repository_are_sound():
    stories = prose.read_prose(PROSE, [path.stem for path in PROSE.glob("*.txt")])
    assert len(stories) >= 13
    for name, text in stories.items():
        assert 350 < len(prose.words(text)) < 1000, name
        assert prose.words(" ".join(prose.sentences(text))) == prose.words(text)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"voxels": 50_000}, "phantom.voxels: 50000 do not fit"),
        ({"words_per_story": 10}, "too short to scan"),
    ],
)
def test_mistakes_end_in_one_line(texts, tmp_path, settings, said):
    with pytest.raises(UserError, match=said) as raised:
        write(tmp_path / "d", tmp_path / "t", {**SETTINGS, "words_per_story": 55, **settings}, texts)
    assert "\n" not in str(raised.value)


def test_a_digit_in_the_prose_is_a_mistake(texts, tmp_path):
    shutil.copytree(texts, tmp_path / "prose")
    (tmp_path / "prose/garden.txt").write_text("I was 9 years old.")
    with pytest.raises(UserError, match=r"garden\.txt: holds 9"):
        write(tmp_path / "d", tmp_path / "t", SETTINGS, tmp_path / "prose")
