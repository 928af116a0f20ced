import threading
import time as clock

from ssv_pool.beacon.heads import AFTER_HEAD_SECONDS, KEPT_HEADS, HeadBoard


class Time:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_without_a_head_the_wait_ends_when_it_is_due():
    time = Time()
    assert HeadBoard(time).wait(5, 99.0) == 99.0


def test_a_head_that_is_there_lets_it_begin_a_moment_after():
    time = Time()
    board = HeadBoard(time)
    board.note(5)
    time.now = 100.5
    board.note(5)
    assert board.wait(5, 101.0) == 100.0 + AFTER_HEAD_SECONDS


def test_a_head_shortly_before_it_is_due_puts_nothing_off():
    time = Time()
    board = HeadBoard(time)
    board.note(5)
    time.now = 100.1
    assert board.wait(5, 100.1) == 100.1


def test_a_head_wakes_who_waits_for_its_slot():
    board = HeadBoard()
    begun = []
    far = clock.time() + 3600
    waiting = [
        threading.Thread(target=lambda slot=slot: begun.append((slot, board.wait(slot, far)))) for slot in (5, 6)
    ]
    for thread in waiting:
        thread.daemon = True
        thread.start()
    board.note(5)
    waiting[0].join(10)
    assert [slot for slot, instant in begun if instant < far] == [5]
    board.note(6)
    waiting[1].join(10)
    assert sorted(slot for slot, _ in begun) == [5, 6]


def test_old_heads_are_forgotten():
    time = Time()
    board = HeadBoard(time)
    for slot in range(KEPT_HEADS + 1):
        board.note(slot)
    time.now = 200.0
    assert board.wait(1, 199.0) == 100.0 + AFTER_HEAD_SECONDS
    assert board.wait(0, 199.0) == 199.0
