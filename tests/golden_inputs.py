"""Golden numbers of the stages up to features: phantom, stories, responses, models, features."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from golden_numbers import STORY, kept, of_features, of_tables

from voxscale.io import tables


def phantom(folder: Path) -> dict[str, list[float]]:
    import made_phantom as made

    from voxscale.phantom import expectation

    subject, signal, (words, sounds) = made.subject(), made.signal(), made.drives()
    known = {"words": words["story0"], "sound": sounds["story0"], "scale": subject.scale}
    known |= {"place": subject.voxels.vertex, "signal": signal["test"]}
    known["heard"] = made.hear(subject, signal, "test", made.REPEATS, 1)
    known["ceiling"] = expectation.true_ceiling(subject, signal, made.TEST, made.SKIP, made.REPEATS)
    return {name: kept(values) for name, values in known.items()}


def stories(folder: Path) -> dict[str, list[float]]:
    import labs

    from voxscale.dataset import write_story_tables

    labs.write_folder(folder)
    found = {}
    for story, transcript in (("walk", "words/walk.tsv"), ("swim", "words/swim.TextGrid")):
        paths = {name: folder / f"{story}-{name}.parquet" for name in ("words", "phones", "clock")}
        trs = {"tr_s": labs.TR_S, "trim": (3, 2)}
        write_story_tables(folder / transcript, folder / "trs.tsv", story, **paths, **trs)
        here = of_tables(folder, **{name: path.name for name, path in paths.items()})
        found |= {f"{story}.{name}": values for name, values in here.items()}
    return found


def responses(folder: Path) -> dict[str, list[float]]:
    import labs

    from voxscale.dataset import open_subject, prepare_responses

    labs.write_folder(folder)
    sources = {story: [folder / f"responses/anna/{story}.npz"] for story in labs.STORIES}
    prepare_responses(folder / "anna.h5", sources, folder / "trs.tsv", ["exam"])
    subject, whole = open_subject(folder / "anna.h5"), slice(None)
    found = {story: kept(subject.read(story, whole)) for story in labs.STORIES}
    return found | {"repeats": kept(subject.repeats("exam", whole))}


def models(folder: Path) -> dict[str, list[float]]:
    from tiny_models import WORDS, language_architectures
    from transformers import AutoModel

    from voxscale.models import prepare_model

    words = write_story(folder, "a", WORDS)[0]
    card = prepare_model(language_architectures()["OPTForCausalLM"], folder / "opt.json", [words])
    found = {key: [value] for key, value in card.items() if isinstance(value, int)}
    weights = AutoModel.from_pretrained(card["path"]).state_dict()
    return found | {name: kept(values.numpy()) for name, values in sorted(weights.items())[:8]}


def write_story(folder: Path, story: str, words: list[str]) -> tuple[Path, Path]:
    """Tables `words` and `clock` of a story at two words a second."""
    n, m = len(words), len(words) // 4 + 8
    onset, mid = np.arange(n) * 0.5, 2.0 * np.arange(m) - 9
    spoken = {"story": [story] * n, "index": range(n), "onset_s": onset, "offset_s": onset + 0.3}
    clock = {"story": [story] * m, "row": range(m), "onset_s": mid - 1, "mid_s": mid}
    paths = folder / f"{story}-words.parquet", folder / f"{story}-clock.parquet"
    tables.write("words", spoken | {"word": words}, paths[0])
    tables.write("clock", clock | {"in_response": [True] * m}, paths[1])
    return paths


def text(folder: Path) -> dict[str, list[float]]:
    from tiny_models import SETTINGS, WORDS, language_architectures, make_card

    from voxscale.features import extract_text

    card = make_card(replace(language_architectures()["OPTForCausalLM"], slug="opt"), folder / "opt")
    (folder / "opt.json").write_text(json.dumps(card))
    stated = {"a": write_story(folder, "a", WORDS)}
    extract_text(folder / "opt.json", stated, folder / "opt.h5", folder / "stories", SETTINGS)
    return of_features(folder / "opt.h5")


def write_sound(folder: Path, story: str) -> Path:
    import soundfile
    from tiny_speech import noise

    from voxscale.features.sound import RATE

    soundfile.write(folder / f"{story}.wav", noise(4.0), RATE)
    return folder / f"{story}.wav"


def speech(folder: Path) -> dict[str, list[float]]:
    from tiny_models import WORDS
    from tiny_speech import SETTINGS, make_cards

    from voxscale.features import extract_speech

    stated = {"a": (write_sound(folder, "a"), write_story(folder, "a", WORDS)[1])}
    found = {}
    for name, card in make_cards(
        lambda name: folder / name, ["hubert", "hubert-layer-norm", "whisper"]
    ).items():
        paths = folder / f"{name}/card.json", stated, folder / f"{name}.h5", folder / "stories"
        extract_speech(*paths, SETTINGS | {"on_disk": "float32", "stride_s": 0.5, "device": "cpu"})
        found |= {f"{card['model']}.{key}": values for key, values in of_features(paths[2]).items()}
    return found


def controls(folder: Path) -> dict[str, list[float]]:
    from tiny_models import WORDS

    from voxscale.features import ControlSources, extract_controls

    words, clock = write_story(folder, "a", WORDS)
    latents = np.random.default_rng(0).normal(size=(len(tables.read("clock", clock)), 6))
    np.save(folder / "a.npy", latents)
    source = ControlSources(clock, words, None, write_sound(folder, "a"), folder / "a.npy")
    known = [
        {"control": name, "modality": "control", "dims": None}
        for name in ("word_rate", "mel", "time_since_onset", "autocorrelation")
    ]
    found = {}
    for card in [*known, {"control": None, "modality": "nested", "dims": 4}]:
        name = card["control"] or "nested"
        (folder / f"{name}.json").write_text(json.dumps(card | {"model": name}))
        paths = folder / f"{name}.json", {"a": source}, folder / f"{name}.h5", folder / "stories"
        extract_controls(*paths, {"mel_bands": 8, "seed": 0, "on_disk": "float32"})
        found |= {f"{name}.{key}": values for key, values in of_features(paths[2]).items()}
    return found


def own(folder: Path) -> dict[str, list[float]]:
    from tiny_models import WORDS

    from voxscale.features import OwnSources, extract_own

    words, clock = write_story(folder, "a", WORDS)
    values = np.random.default_rng(0).normal(size=(2, len(WORDS), 3)).astype(np.float32)
    np.save(folder / "a.npy", values)
    lines = [f"{word.lower()} {len(word)} {i}.5\n" for i, word in enumerate(sorted(set(WORDS))[::2])]
    (folder / "vectors.txt").write_text("".join(lines))
    known = {
        "arrays": {"modality": "features", "at": "words", "width": 3, "layers": [0, 1]},
        "rate": {"modality": "features", "at": {"rate_hz": 4, "start_s": -1}, "width": 3, "layers": [0, 1]},
        "vectors": {"modality": "embeddings", "at": None, "width": 2, "layers": [0]},
    }
    found = {}
    for name, card in known.items():
        path = str(folder / ("vectors.txt" if name == "vectors" else "a.npy"))
        (folder / f"{name}.json").write_text(json.dumps(card | {"model": name, "path": path}))
        source, index = OwnSources(clock, words, {None: path}), folder / f"{name}.h5"
        cards, store = folder / f"{name}.json", folder / "stories"
        extract_own(cards, {"a": source}, {path: name}, index, store, {"on_disk": "float32"})
        found |= {f"{name}.{key}": values for key, values in of_features(index).items()}
    return found


def reduced(folder: Path) -> dict[str, list[float]]:
    from voxscale.features import extract_components, store

    rng = np.random.default_rng(0)
    mixing, files = rng.normal(size=(3, 12)) * [[5], [3], [1.5]], {}
    for story, n in STORY.items():
        values = rng.normal(size=(n, 3)) @ mixing + 0.5 * rng.normal(size=(n, 12)) + 5
        files[story] = folder / f"src-{story}.h5"
        store.write_features(files[story], {2: values.astype(np.float32)}, {})
    store.write_feature_index(folder / "src.h5", files)
    (folder / "card.json").write_text(json.dumps({"model": "m-pca3", "width": 3, "source": "m"}))
    paths = folder / "src.h5", folder / "card.json", folder / "m.h5", folder / "stories"
    extract_components(*paths, ["a", "b"], [2], {"trim": [4, 2], "on_disk": "float32"})
    return of_features(folder / "m.h5")
