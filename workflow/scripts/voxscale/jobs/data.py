"""Records of the rules that fetch or make the data and bring them into one form."""

from collections.abc import Callable, Iterable
from typing import Any

from voxscale.jobs.record import Rule, Wildcards, light, once_if
from voxscale.jobs.resources import Need, plain
from voxscale.jobs.sizes import REPEATS, Sizes
from voxscale.study import Study
from voxscale.versions import numbers

TRUTH = "results/phantom-truth"


def _is_phantom(study: Study) -> bool:
    return study.dataset.kind == "phantom"


def per_subject(
    condition: Callable[[Study], bool] = lambda study: True,
) -> Callable[[Study], list[Wildcards]]:
    """One job for each subject, where a condition holds."""
    return lambda study: [{"subject": subject} for subject in study.subjects] if condition(study) else []


def _parts(study: Study) -> Iterable[Wildcards]:
    if study.dataset.kind != "ds003020":
        return []
    placed = study.subjects if study.dataset.places_voxels else []
    surfaces = [f"pycortex-{subject}" for subject in placed if study.dataset.voxels(subject)]
    sounds = ["sounds"] if study.any_hears else []
    return [{"part": part} for part in ("transcripts", *sounds, *study.subjects, *surfaces)]


def _placed(study: Study) -> list[Wildcards]:
    if not study.dataset.places_voxels:
        return []
    return [{"subject": subject} for subject in study.subjects if study.dataset.places(subject)]


def _fetching(sizes: Sizes, part: str) -> Need:
    size = float(sum(file.size for file in sizes.study.dataset.needed(part)))
    return plain(0, size, held=1e8, seconds=size / 2e7)


def _writing_stimuli(sizes: Sizes) -> Need:
    trs = sum(sizes.trs(story) for story in sizes.study.stories)
    sound = trs * sizes.study.config["dataset"]["tr_s"] * 16_000 * 2
    return plain(0, sound, held=2e8 + 4 * sound, seconds=60)


def _scanning(sizes: Sizes, subject: str) -> Need:
    trs = sum(sizes.trs(story) for story in sizes.study.heard(subject))
    values = 8.0 * sizes.voxels(subject) * (trs + REPEATS * sizes.test_trs(subject))
    return plain(0, values, held=5e7 + 3 * values, seconds=30)


def _preparing(sizes: Sizes, subject: str) -> Need:
    # Copied in blocks: a block as read, in float32 and voxel by voxel, and what is counted of it.
    trs = sum(sizes.trs(story) for story in sizes.study.heard(subject)) + sizes.repeat_trs(subject)
    values = 4.0 * sizes.voxels(subject) * trs
    kept = 0.0 if sizes.study.config["dataset"]["keep"] == "none" else values
    held = sizes.held_responses(subject) + min(3e8, 3 * values)
    if len(sizes.study.dataset.members(subject)) > 1:
        held += sizes.held_mean(subject)
    return plain(sizes.response_bytes(subject), kept, held)


def _placing(sizes: Sizes, subject: str) -> Need:
    # Two cortices of 150,000 vertices each, and pycortex; what is kept is a few MB of text.
    return plain(5e7, 40.0 * sizes.voxels(subject), held=1.5e9, seconds=120)


def latents(study: Study) -> list[str]:
    """The phantom's latent of each story, which only the nested family uses; none for other datasets."""
    folder = study.dataset.root / "derivative/latents"
    return [str(folder / f"{story}.npy") for story in study.stories] if _is_phantom(study) else []


def phantom_stimuli(study: Study) -> list[str]:
    """Every file of the phantom's stories that another rule reads."""
    transcripts = {str(study.dataset.transcript(story)) for story in study.stories}
    return sorted({str(study.dataset.clocks), *latents(study), *study.sounds(study.stories), *transcripts})


def phantom_scans(study: Study, subject: str) -> list[str]:
    """Every file of one subject of the phantom that another rule reads."""
    scans = [str(path) for story in study.stories for path in study.dataset.response(subject, story)]
    return [*scans, str(study.dataset.root / f"derivative/voxels/{subject}.tsv")]


def _scans(study: Study, w: Wildcards) -> list[str]:
    """Response files of a subject, with what reading them needs."""
    subject = w["subject"]
    return [*map(str, study.dataset.responses(subject)), *map(str, study.dataset.companions(subject))]


def _reading(study: Study, w: Wildcards) -> dict[str, Any] | None:
    reading = study.dataset.reading(w["subject"])
    return None if reading is None else reading._asdict()


def _members(study: Study, w: Wildcards) -> list[dict[str, Any]]:
    """Response files of each subject that an average is of; none for another subject."""
    members = study.dataset.members(w["subject"])
    if len(members) == 1:
        return []
    return [
        {"sources": study.response_sources(member), "reading": _reading(study, {"subject": member})}
        for member in members
    ]


def _tested(study: Study, w: Wildcards) -> list[str] | list[list[str]]:
    """Test stories, or those of each fold."""
    folds = study.dataset.folds(w["subject"])
    return folds if len(folds) > 1 else folds[0]


RULES = (
    Rule(
        "fetch_dataset",
        outputs={"part": "results/dataset/{part}.json"},
        jobs=_parts,
        need=_fetching,
        params={
            "files": lambda study, w: [list(file) for file in study.dataset.needed(w["part"])],
            "root": lambda study, w: str(study.dataset.root),
        },
        means=lambda study, w: {"url": study.dataset.config["url"]},
        local=True,
    ),
    Rule(
        "write_phantom_stimuli",
        outputs={"stimuli_truth": f"{TRUTH}/stimuli.json", "drives": f"{TRUTH}/drives.h5"},
        jobs=once_if(_is_phantom),
        need=_writing_stimuli,
        params={
            "root": lambda study, w: study.dataset.root,
            "settings": lambda study, w: study.picked(
                "phantom", "dataset.test_stories", "dataset.training_stories", "scoring.skip_s"
            ),
        },
        numbers=("phantom",),
    ),
    Rule(
        "scan_phantom",
        outputs={"subject_truth": f"{TRUTH}/{{subject}}.json", "brain": f"{TRUTH}/{{subject}}.parquet"},
        schemas={"brain": None},  # truth, which only the validation reads
        jobs=per_subject(_is_phantom),
        need=_scanning,
        params={"root": lambda study, w: study.dataset.root},
        numbers=("phantom",),
    ),
    Rule(
        "read_story",
        outputs={name: f"results/stories/{{story}}/{name}.parquet" for name in ("words", "phones", "clock")},
        jobs=lambda study: [{"story": story} for story in study.stories],
        need=light,
        params={
            "transcript": lambda study, w: str(study.dataset.transcript(w["story"])),
            "clocks": lambda study, w: str(study.dataset.clocks),
            "tr_s": lambda study, w: study.config["dataset"]["tr_s"],
            "trim": lambda study, w: study.config["dataset"]["trim"],
            "timing": lambda study, w: study.dataset.timing,
            "untimed": lambda study, w: study.config["dataset"]["untimed_words"],
        },
        numbers=("stories",),
        sources=lambda study, w: [str(study.dataset.transcript(w["story"])), str(study.dataset.clocks)],
    ),
    Rule(
        "digest_sounds",
        outputs={"sounds": "results/subjects/{subject}-sounds.json"},
        jobs=per_subject(lambda study: study.any_hears),
        need=light,
        params={
            "stories": lambda study, w: study.heard(w["subject"]),
            "audio": lambda study, w: study.sounds(study.heard(w["subject"])),
        },
        sources=lambda study, w: study.sounds(study.heard(w["subject"])),
    ),
    Rule(
        "describe_subject",
        outputs={"subject_table": "results/subjects/{subject}.parquet"},
        schemas={"subject_table": "subjects"},
        jobs=per_subject(),
        need=light,
        params={
            "training": lambda study, w: study.dataset.training(w["subject"]),
            "test": _tested,
        },
        numbers=("stories",),
    ),
    Rule(
        "digest_responses",
        outputs={"responses_digest": "results/subjects/{subject}-responses.json"},
        jobs=per_subject(),
        need=lambda sizes, subject: plain(sizes.response_bytes(subject)),
        params={
            "sources": lambda study, w: study.response_sources(w["subject"]),
            "companions": lambda study, w: [str(path) for path in study.dataset.companions(w["subject"])],
            "reading": _reading,
            "voxels": lambda study, w: study.voxel_choice(w["subject"]),
            "preparation": lambda study, w: numbers("responses"),
        },
        sources=_scans,
    ),
    Rule(
        "prepare_responses",
        outputs={"responses": "results/responses/{subject}.h5"},
        jobs=per_subject(),
        need=_preparing,
        params={
            "test": lambda study, w: study.dataset.test(w["subject"]),
            "sources": lambda study, w: study.response_sources(w["subject"]),
            "reading": _reading,
            "voxels": lambda study, w: study.voxel_choice(w["subject"]),
            "clocks": lambda study, w: str(study.dataset.clocks),
            "keep": lambda study, w: study.config["dataset"]["keep"],
            "weak_repeats": lambda study, w: study.config["dataset"]["weak_repeats"],
            "members": _members,
        },
        numbers=("responses",),
        ancient=True,
        sources=lambda study, w: [*_scans(study, w), str(study.dataset.clocks)],
    ),
    Rule(
        "place_voxels",
        outputs={"places": "results/voxels/{subject}.tsv"},
        jobs=_placed,
        need=_placing,
        params={"places": lambda study, w: study.dataset.places(w["subject"])},
        numbers=("responses",),
    ),
)
