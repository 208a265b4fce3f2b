"""Write the phantom: a dataset in the layout of ds003020, and its truth in a folder of its own.

First the stories, which all subjects hear (`write_stimuli`), then the scans of each subject (`scan_subject`):
adding a subject does not change the others.
"""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from voxscale.dataset import PROSE
from voxscale.errors import UserError
from voxscale.io import atomic, read_json, write_json
from voxscale.phantom import brain, expectation, grids, latents, patches, prose, speech
from voxscale.phantom.speech import Speech
from voxscale.progress import bar

_FORMAT = "voxscale-phantom-1"
_DRIVES = "drives.h5"
_SHORTEST = 26  # TRs in respdict.json, of which 6 remain: enough for the longest delay


def _roles(settings: Mapping[str, Any], prose_folder: Path) -> tuple[list[str], list[str]]:
    """Training and test stories, in the order in which they are written."""
    test = list(settings["test_stories"])
    if settings["training_stories"] != "all":
        return list(settings["training_stories"]), test
    return [path.stem for path in sorted(prose_folder.glob("*.txt")) if path.stem not in test], test


def _speak(
    texts: Mapping[str, str], test: Sequence[str], settings: Mapping[str, Any]
) -> Iterator[tuple[str, Speech]]:
    for story in bar(sorted(texts), "speak the stories", unit="story"):
        limit = settings["words_per_story"]
        if limit is not None and story in test:
            limit *= 2  # test stories are twice as long, as their first seconds are not scored
        said = speech.speak(texts[story], story, settings["words_per_minute"], settings["seed"], limit)
        yield story, said


def _write_stimuli(root: Path, spoken: Mapping[str, Speech], words: Mapping[str, np.ndarray]) -> None:
    import soundfile

    for story, said in spoken.items():
        with atomic(root / f"stimuli/{story}.wav") as temporary:
            sound = io.BytesIO()  # libsndfile does not say that a disk is full
            soundfile.write(sound, said.sound, speech.RATE_HZ, subtype="PCM_16", format="WAV")
            temporary.write_bytes(sound.getvalue())
        grids.write_textgrid(root / f"derivative/TextGrids/{story}.TextGrid", said)
        with atomic(root / f"derivative/latents/{story}.npy") as temporary:
            np.save(temporary, words[story].astype(np.float32))
    trs = {story: latents.respdict_trs(said.duration_s) for story, said in spoken.items()}
    write_json(root / "derivative/respdict.json", trs)


def _write_voxels(path: Path, voxels: patches.PlacedVoxels) -> None:
    rows = zip(voxels.hemisphere, voxels.vertex, voxels.roi, strict=True)
    lines = ["voxel\themisphere\tvertex\troi", *(f"{i}\t{h}\t{v}\t{r}" for i, (h, v, r) in enumerate(rows))]
    with atomic(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n")


def _write_responses(
    root: Path,
    name: str,
    subject: brain.PhantomSubject,
    signal: Mapping[str, np.ndarray],
    test: Sequence[str],
    repeats: int,
    seed: int,
) -> None:
    for i, story in enumerate(sorted(signal)):
        rng = np.random.default_rng([seed, 2, _code(name), i])
        heard = brain.hearings(subject, signal[story], repeats if story in test else 1, rng)
        path = root / f"derivative/preprocessed_data/{name}/{story}.hf5"
        with atomic(path) as temporary, h5py.File(temporary, "w") as file:
            file["data"] = heard.mean(0)  # (TRs, voxels) float64
            if story in test:
                file["individual_repeats"] = heard  # (repeats, TRs, voxels) float64


def _code(name: str) -> int:
    return int.from_bytes(name.encode()[-8:], "big")


def _truth_table(
    name: str,
    subject: brain.PhantomSubject,
    powers: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]],
    expected: Mapping[str, np.ndarray],
) -> pa.Table:
    """One row per voxel: all that generated it, and its true scores."""
    voxels = subject.voxels
    n = len(voxels.vertex)
    columns: dict[str, Any] = {
        "subject": [name] * n,
        "voxel": np.arange(n, dtype=np.int32),
        "hemisphere": voxels.hemisphere.tolist(),
        "vertex": voxels.vertex.astype(np.int32),
        "roi": voxels.roi.tolist(),
        "area": voxels.area.tolist(),
        "region": voxels.region.tolist(),
        "nested": voxels.region == "language",
        "memory": subject.memory,
        "scale": subject.scale,
    }
    for suffix, values in powers.items():
        names = (f"{name}{suffix}" for name in ("signal_power", "noise_power", "cc_max"))
        columns |= dict(zip(names, values, strict=True))
    for weights in ("fir", "latent", "bands"):
        columns[f"weights_{weights}"] = list(getattr(subject, weights).T)
    for statement, r in expected.items():
        columns[f"expected_r_{statement}"] = list(r.T)
    return pa.table(columns)


def _lines(expected: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Mean expected score of each width over the nested voxels, and its line, for each statement."""
    found = {}
    for statement, r in expected.items():
        mean = np.nanmean(r, axis=1)
        slope, intercept = expectation.fit_line(mean)
        found[statement] = {"r": [float(x) for x in mean], "slope": slope, "intercept": intercept}
    return found


def write_stimuli(root: Path, truth: Path, settings: Mapping[str, Any], prose_folder: Path = PROSE) -> None:
    """Write the stories of the phantom under `root`, and what drives its voxels under `truth`.

    Args:
        settings: the config's `phantom`, `test_stories` and `training_stories` of its dataset (a list or
            `all`), and `skip_s`, the time that is not scored at the start of each test story.
            `words_per_story` cuts training stories, and test stories at twice that.
        prose_folder: folder of `<story>.txt`.

    Raises:
        UserError: words are lost in the speech of a story, or it is too short to scan.
    """
    root, truth = Path(root), Path(truth)
    training, test = _roles(settings, Path(prose_folder))
    spoken = dict(_speak(prose.read_prose(prose_folder, [*training, *test]), test, settings))
    for story, said in spoken.items():
        if latents.respdict_trs(said.duration_s) < _SHORTEST:
            raise UserError(f"{story}.txt: {said.duration_s:.0f} s are too short to scan; write more")
    words = latents.words_latent(spoken, settings["seed"])
    _write_stimuli(root, spoken, words)
    # A story shorter than the skipped time (a tiny study) is scored from its start.
    skip = round(settings["skip_s"] / latents.TR_S)
    skip = skip if min(len(words[story][latents.RESPONSE]) for story in test) > skip + 10 else 0
    with atomic(truth / _DRIVES) as temporary, h5py.File(temporary, "w") as file:
        for story, said in spoken.items():
            file[f"{story}/words"] = words[story]  # (T, D) float64
            file[f"{story}/sound"] = latents.sound_bands(said)  # (T, B) float64
    write_json(
        truth / "stimuli.json",
        {
            "format": _FORMAT,
            "settings": json.loads(json.dumps(settings)),
            "training_stories": training,
            "test_stories": test,
            "skipped_trs": skip,
            "spectrum": latents.spectrum().tolist(),
            "nested": {"region": "language", "metric": "r", "dimensions": list(expectation.WIDTHS)},
        },
    )


def scan_subject(root: Path, truth: Path, name: str) -> None:
    """Draw subject `name`, write its voxels and responses under `root` and its truth under `truth`.

    Raises:
        UserError: the stories are missing (see `write_stimuli`), or there are too few voxels.
    """
    root, truth = Path(root), Path(truth)
    known = read_json(truth / "stimuli.json")
    settings, test, skip = known["settings"], known["test_stories"], known["skipped_trs"]
    with h5py.File(truth / _DRIVES) as file:
        words, sounds = ({story: file[story][kind][:] for story in file} for kind in ("words", "sound"))
    rng = np.random.default_rng([settings["seed"], 1, _code(name)])
    subject = brain.draw_subject(patches.place_voxels(settings["voxels"], rng), rng)
    signal = brain.signals(subject, words, sounds)
    _write_voxels(root / f"derivative/voxels/{name}.tsv", subject.voxels)
    _write_responses(root, name, subject, signal, test, settings["repeats"], settings["seed"])
    powers = {
        "": expectation.true_ceiling(subject, signal, test, skip, settings["repeats"]),
        "_uncut": expectation.true_ceiling(subject, signal, test, 0, settings["repeats"]),
    }
    maps = expectation.ridge_maps(words, known["training_stories"], test, skip)
    expected = expectation.expected_r(subject, words, signal, maps, settings["repeats"])
    with atomic(truth / f"{name}.parquet") as temporary:
        pq.write_table(_truth_table(name, subject, powers, expected), temporary, compression="zstd")
    regions = subject.voxels.region.tolist()
    counts = {region: regions.count(region) for region in dict.fromkeys(regions)}
    write_json(truth / f"{name}.json", {"regions": counts, "nested": _lines(expected)})
