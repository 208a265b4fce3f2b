"""A lab's own data, small: a folder, BIDS images, what the rules do with them, and ways to spoil them."""

import nibabel
import numpy as np
from published import heard, words_of, write_textgrid

from voxscale.dataset.preparation import prepare_responses
from voxscale.dataset.stories import describe_subject, write_story_tables

STORIES = {"walk": 24, "swim": 30, "exam": 26}
TR_S, ONSET_S = 1.5, 6.0


def write_trs(root):
    rows = [f"{story}\t{n_trs}\t{ONSET_S}\n" for story, n_trs in STORIES.items()]
    (root / "trs.tsv").write_text("story\tn_tr\tonset_s\n" + "".join(rows))


def write_words(path, story):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{a}\t{b - a:.3f}\t{word}\n" for a, b, word in words_of(story, STORIES[story] * TR_S)]
    path.write_text("onset\tduration\tword\n" + "".join(rows))


def write_folder(root, suffix="npz"):
    """Two subjects; the second has not heard `swim`. Gives (subject, story) -> (repeats, TRs, voxels)."""
    import h5py

    random, truth = np.random.default_rng(1), {}
    for subject, stories in (("anna", STORIES), ("bob", ["walk", "exam"])):
        for story in stories:
            each = heard(random, 4 if story == "exam" else 1, STORIES[story], 5).astype(np.float32)
            data = truth[subject, story] = each.mean(0)
            path = root / f"responses/{subject}/{story}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if suffix == "npy":
                np.save(path, data)
            elif suffix == "npz":
                np.savez(path, data=data, **({"repeats": each} if len(each) > 1 else {}))
            else:
                with h5py.File(path, "w") as file:
                    file["data"] = data
                    if len(each) > 1:
                        file["individual_repeats"] = each
    for story in STORIES:
        if story == "walk":
            write_words(root / "words/walk.tsv", story)
        else:
            words, phones = words_of(story, STORIES[story] * TR_S), [(0.1, 0.2, "HH")]
            write_textgrid(root / f"words/{story}.TextGrid", words, phones)
    write_trs(root)
    return truth


SHAPE = (4, 3, 5)


def write_bids(root):
    """One subject, two sessions, three runs of the test story. Gives story -> (TRs, voxels)."""
    random, truth = np.random.default_rng(2), {}
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    mask = random.random(SHAPE) > 0.5
    folder = root / "sub-01/anat"
    folder.mkdir(parents=True)
    nibabel.save(nibabel.Nifti1Image(mask.astype(np.uint8), affine), folder / "sub-01_mask.nii.gz")
    for story, n_trs in STORIES.items():
        runs = []
        each = heard(random, 3 if story == "exam" else 1, n_trs, int(np.prod(SHAPE)))
        for run in range(len(each)):
            session = f"ses-{1 + run % 2}"
            values = each[run].T.reshape(*SHAPE, n_trs).astype(np.float32)
            runs.append(values[mask].T)  # (TRs, voxels)
            label = f"_run-{run + 1}" if story == "exam" else ""
            name = f"sub-01_{session}_task-{story}{label}_space-T1w_desc-preproc_bold.nii.gz"
            path = root / "sub-01" / session / "func" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(values, affine), path)
            other = path.with_name(name.replace("T1w", "MNI"))
            nibabel.save(nibabel.Nifti1Image(values, affine), other)
        truth["01", story] = np.mean(runs, axis=0)
        write_words(root / f"stimuli/{story}.tsv", story)
    write_trs(root)
    return truth


def settings(root, kind, **changes):
    config = {
        "kind": kind,
        "root": str(root),
        "subjects": ["01"] if kind == "bids" else ["anna", "bob"],
        "test_stories": ["exam"],
        "tr_s": TR_S,
        "trim": [6, 2],
        "bids": {"space": "T1w", "mask": "{subject}/anat/{subject}_mask.nii.gz"},
    }
    return config | changes


def run(dataset, out):
    """What the rules do with a dataset."""
    dataset.check()
    for story in dataset.stories:
        assert all(path.exists() for path in dataset.story_inputs(story))
        parts = {name: out / f"{story}/{name}.parquet" for name in ("words", "phones", "clock")}
        write_story_tables(
            dataset.transcript(story),
            dataset.clocks,
            story,
            **parts,
            tr_s=dataset.tr_s,
            trim=dataset.trim,
            timing=dataset.timing,
        )
    for subject in dataset.subjects:
        heard = [*dataset.training(subject), *dataset.test(subject)]
        assert all(path.exists() for path in dataset.response_inputs(subject))
        describe_subject(
            subject,
            dataset.training(subject),
            dataset.folds(subject),
            [out / f"{story}/words.parquet" for story in heard],
            [out / f"{story}/clock.parquet" for story in heard],
            out / f"{subject}.parquet",
        )
        prepare_responses(
            out / f"{subject}.h5",
            {story: dataset.response(subject, story) for story in heard},
            dataset.clocks,
            dataset.test(subject),
            reading=dataset.reading(subject),
            keep=dataset.config.get("keep", "float32"),
            weak_repeats=dataset.config.get("weak_repeats", "refuse"),
        )


def drop(pattern):
    def change(root, config):
        for path in root.glob(pattern):
            path.unlink()

    return change


def put(**changes):
    return lambda root, config: config.update(changes)


def text(name, content):
    def change(root, config):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)

    return change


def save(name, **arrays):
    return lambda root, config: np.savez(root / name, **arrays)


def image(name, shape=(*SHAPE, 24), affine=None):
    def change(root, config):
        values = np.ones(shape, np.float32)
        nibabel.save(
            nibabel.Nifti1Image(values, np.diag([3.0, 3, 3, 1]) if affine is None else affine), root / name
        )

    return change


def halve(name):
    def change(root, config):
        raw = (root / name).read_bytes()
        (root / name).write_bytes(raw[: len(raw) // 2])

    return change
