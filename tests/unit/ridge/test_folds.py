"""Folds: whole stories, or chunks drawn with a seed."""

import numpy as np
import pytest

from voxscale.ridge import chunk_folds, make_folds, story_folds


def story_of(lengths):
    return np.repeat(np.arange(len(lengths)), lengths)


@pytest.mark.parametrize("lengths", [[30, 10, 20, 25, 15, 40, 5], [10] * 5, [12, 80]])
def test_whole_stories_are_held_out_once_each(lengths):
    folds, story = story_folds(lengths, 5), story_of(lengths)
    assert len(folds) == min(5, len(lengths))
    held = np.concatenate([fold.held for fold in folds])
    np.testing.assert_array_equal(np.sort(held), np.arange(sum(lengths)))
    for fold in folds:
        assert not set(story[fold.held]) & set(story[fold.train])
        np.testing.assert_array_equal(np.sort(np.r_[fold.held, fold.train]), np.arange(sum(lengths)))


def test_folds_are_of_similar_size():
    sizes = [len(fold.held) for fold in story_folds([177, 541, 300, 310, 290, 250, 400, 220, 350, 330], 5)]
    assert max(sizes) < 1.35 * min(sizes)


def test_fewer_stories_than_folds_leave_one_story_out():
    folds = story_folds([10, 12, 11], 5)
    assert sorted(len(fold.held) for fold in folds) == [10, 11, 12]


def test_one_story_is_held_out_in_contiguous_parts():
    folds = story_folds([23], 5)
    assert [len(fold.held) for fold in folds] == [5, 5, 5, 4, 4]
    assert all((np.diff(fold.held) == 1).all() for fold in folds)
    with pytest.raises(ValueError, match="one training TR"):
        story_folds([1], 5)


def test_chunks_are_seeded_and_whole():
    folds, again, other = (chunk_folds(107, 4, 10, 0.2, seed) for seed in (3, 3, 4))
    for fold, same in zip(folds, again, strict=True):
        np.testing.assert_array_equal(fold.held, same.held)
        assert len(fold.held) == 20
        assert all((fold.held // 10 == chunk).sum() == 10 for chunk in np.unique(fold.held // 10))
        assert not set(fold.held) & set(fold.train)
    assert any(not np.array_equal(a.held, b.held) for a, b in zip(folds, other, strict=True))
    # As published: what does not fill a chunk is never held out.
    assert max(fold.held.max() for fold in chunk_folds(107, 200, 10, 0.5, 0)) < 100


def test_chunks_that_are_too_long():
    with pytest.raises(ValueError, match="lower chunk_trs"):
        chunk_folds(50, 5, 40, 0.2, 0)


def test_settings_choose():
    stories = make_folds([20, 30, 25], {"kind": "stories", "n": 3}, 0)
    assert sorted(len(fold.held) for fold in stories) == [20, 25, 30]
    settings = {"kind": "chunks", "n": 4, "chunk_trs": 5, "held_out_share": 0.4}
    chunks = make_folds([20, 30, 25], settings, 0)
    assert [len(fold.held) for fold in chunks] == [30] * 4
