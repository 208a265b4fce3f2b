"""Two things at once: in order, one ahead or behind, and an error in either reaches the caller."""

import threading

import pytest

from voxscale.overlap import finish_behind, prepare_ahead


def test_items_are_prepared_in_order_and_one_ahead():
    begun = [threading.Event() for _ in range(4)]
    seen = []
    for i, square in prepare_ahead(range(4), lambda i: (begun[i].set(), i * i)[1]):
        assert i == 3 or begun[i + 1].wait(10)
        assert not any(event.is_set() for event in begun[i + 2 :])
        seen.append(square)
    assert seen == [0, 1, 4, 9]
    assert list(prepare_ahead([], str)) == []


def test_an_item_is_finished_while_the_next_one_is_made():
    made, finished = [threading.Event() for _ in range(3)], []

    def items():
        for i, event in enumerate(made):
            event.set()
            assert len(finished) >= i - 1
            yield i

    def finish(i):
        assert i == 2 or made[i + 1].wait(10), f"item {i + 1} was not begun beside"
        finished.append(i)

    finish_behind(items(), finish)
    assert finished == [0, 1, 2]


@pytest.mark.parametrize("bad", [0, 2])
def test_an_error_in_either_thread_reaches_the_caller(bad):
    def fails(i):
        if i == bad:
            raise ValueError(f"item {i}")
        return i

    with pytest.raises(ValueError, match=f"item {bad}"):
        finish_behind(range(3), fails)
    with pytest.raises(ValueError, match=f"item {bad}"):
        finish_behind(map(fails, range(3)), str)
    with pytest.raises(ValueError, match=f"item {bad}"):
        list(prepare_ahead(range(3), fails))
