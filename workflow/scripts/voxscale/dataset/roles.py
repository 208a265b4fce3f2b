"""Which stories of a subject are trained on and which are tested on, as the config asks.

`dataset.test_stories` is a list for all subjects, a list for each subject, or `folds`: outer
cross-validation, in which stories are held out in turn and each fold is trained on the stories of the others.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from voxscale.errors import UserError, hint

KEY = "config key dataset.test_stories"
EACH = "each"


def in_folds(test: Any) -> TypeGuard[Mapping[str, Any]]:
    """Whether `dataset.test_stories` asks for stories to be tested on in turn."""
    return isinstance(test, Mapping) and "folds" in test


def named_stories(test: Sequence[str] | Mapping[str, Any]) -> list[str]:
    """Stories that `dataset.test_stories` names."""
    if not isinstance(test, Mapping):
        return list(test)
    groups = test["folds"] if in_folds(test) else test.values()
    return [story for group in groups for story in group] if not isinstance(groups, int | str) else []


def check_subjects(test: Sequence[str] | Mapping[str, Any], subjects: Sequence[str]) -> None:
    """Test stories by subject must be those of the study's subjects.

    Raises:
        UserError: a subject has none, or a name is that of no subject.
    """
    if not isinstance(test, Mapping) or in_folds(test):
        return
    if unknown := sorted(set(test) - set(subjects)):
        raise UserError(f"{KEY}: {unknown[0]} is not in dataset.subjects; {hint(unknown[0], subjects)}")
    if lacking := sorted(set(subjects) - set(test)):
        raise UserError(f"{KEY}: {lacking[0]} has no test stories; give it a list as the others have")


def assign(
    subject: str,
    stories: Sequence[str],
    test: Sequence[str] | Mapping[str, Any],
    training: Sequence[str] | str,
) -> tuple[list[str], list[list[str]]]:
    """Training stories of a subject, and the test stories of each fold; one fold if they are fixed.

    Args:
        stories: that the subject heard, in the dataset's order.
        test: the config's `dataset.test_stories`.
        training: its `dataset.training_stories`, a list or `all`.

    Raises:
        UserError: a role has no story, a story has two, or there are more folds than stories.
    """
    if not in_folds(test):
        tested = test[subject] if isinstance(test, Mapping) else test
        folds = [[story for story in stories if story in tested]]
        trained = [s for s in stories if (s not in tested if training == "all" else s in training)]
        check_roles(subject, trained, folds[0])
        return trained, folds
    trained = [story for story in stories if training == "all" or story in training]
    folds = _folds(subject, trained, test["folds"], test.get("seed", 0))
    for fold in folds:
        check_roles(subject, training_of(trained, fold), fold)
    return trained, folds


def _folds(subject: str, stories: Sequence[str], folds: Any, seed: int) -> list[list[str]]:
    if isinstance(folds, list):
        named = [story for fold in folds for story in fold]
        if twice := [story for i, story in enumerate(named) if story in named[:i]]:
            raise UserError(f"{KEY}.folds: {twice[0]} is in two folds; a story is held out once")
        found = [[story for story in stories if story in fold] for fold in folds]
        if not (found := [fold for fold in found if fold]):
            raise UserError(f"{KEY}.folds: {subject} heard no story of any fold; choose one it heard")
        return found
    n = len(stories) if folds == EACH else folds
    if n > len(stories) or n < 2:
        raise UserError(f"{KEY}.folds: {n} folds, but {subject} heard {len(stories)} stories; each needs one")
    # A story's place depends on nothing but its name and the seed: subjects who heard the same have the same
    # folds, and other models or sweeps change none.
    order = sorted(stories, key=lambda story: hashlib.sha256(f"{seed} {story}".encode()).digest())
    return [[story for story in stories if story in order[fold::n]] for fold in range(n)]


def training_of(training: Sequence[str], fold: Sequence[str]) -> list[str]:
    """Stories that a fold is trained on."""
    return [story for story in training if story not in fold]


def roles_of(training: Sequence[str], folds: Sequence[Sequence[str]]) -> dict[str, str]:
    """Story -> its role in table `subjects`: train, test, or `fold 2`, tested on in that fold."""
    several = len(folds) > 1
    held = {s: f"fold {i}" if several else "test" for i, fold in enumerate(folds, start=1) for s in fold}
    return {**dict.fromkeys(training, "train"), **held}


def folds_of(roles: Mapping[str, str]) -> tuple[list[str], list[list[str]]]:
    """Training stories and folds, from what `roles_of` gives."""
    training = [story for story, role in roles.items() if role != "test"]
    held: dict[str, list[str]] = {}
    for story, role in roles.items():
        if role != "train":
            held.setdefault(role, []).append(story)
    return training, [held[role] for role in sorted(held, key=lambda role: (len(role), role))]


def check_roles(subject: str, training: Sequence[str], test: Sequence[str]) -> None:
    """Refuse a subject without training or test stories, and a story that is both.

    Raises:
        UserError: the line names the subject and the story.
    """
    if both := sorted(set(training) & set(test)):
        raise UserError(
            f"config key dataset.training_stories: {both[0]} is in training and in test; remove it from one"
        )
    for role, stories in (("training", training), ("test", test)):
        if not stories:
            raise UserError(
                f"config key dataset.{role}_stories: {subject} heard none of them; choose one it heard"
            )
