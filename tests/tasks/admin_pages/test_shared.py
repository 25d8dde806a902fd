"""What was worked out for a page is kept for a moment, and made once for all who ask at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from tasks.admin_pages import shared
from tasks.admin_pages.shared import forget, kept


class Maker:
    """Makes something once it is let go on; says when it has begun, and counts."""

    def __init__(self, *, fails_first: bool = False) -> None:
        self.begun, self.may_end = Event(), Event()
        self.made = 0
        self._fails_first = fails_first

    def __call__(self) -> int:
        self.made += 1
        number = self.made
        self.begun.set()
        assert self.may_end.wait(30)
        if self._fails_first and number == 1:
            raise LookupError
        return number


def ask_twice(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Ask in two threads, the second while the first makes it; return what they get."""
    waits = Event()

    class Watched(dict[Any, Any]):
        def setdefault(self, *pair: Any) -> Any:
            found = super().setdefault(*pair)
            if found is not pair[1]:
                waits.set()
            return found

    monkeypatch.setattr(shared, "_makers", Watched())
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(kept, "key", 60, maker)
        assert maker.begun.wait(30)
        second = pool.submit(kept, "key", 60, maker)
        assert waits.wait(30)
        maker.may_end.set()
        return [first.exception() or first.result(), second.result()]


def test_two_who_ask_at_once_have_it_made_once(monkeypatch: pytest.MonkeyPatch):
    maker = Maker()
    assert ask_twice(maker, monkeypatch) == [1, 1]
    assert maker.made == 1
    assert not shared._makers


def test_if_it_fails_the_one_who_waits_makes_it(monkeypatch: pytest.MonkeyPatch):
    error, made = ask_twice(Maker(fails_first=True), monkeypatch)
    assert isinstance(error, LookupError)
    assert made == 2
    assert kept("key", 60, pytest.fail) == 2


def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shared, "PATIENCE", 0.01)
    maker = Maker()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(kept, "key", 60, maker)
        assert maker.begun.wait(30)
        assert kept("key", 60, lambda: "mine") == "mine"
        maker.may_end.set()
        assert first.result() == 1


def test_what_is_to_be_fresh_is_made_in_any_case_and_kept():
    kept("key", 60, lambda: "old")
    assert kept("key", 60, lambda: "new", is_fresh=True) == "new"
    assert kept("key", 60, lambda: "newer") == "new"


@pytest.mark.parametrize("at", range(8))
def test_another_thread_may_forget_it_at_any_line(at: int):
    class Key:
        """Has everything forgotten at one of the times when it is looked up."""

        looked_up = 0
        on_look_up: Callable[[], None] = staticmethod(lambda: None)

        def __hash__(self) -> int:
            self.looked_up += 1
            if self.looked_up == at:
                self.on_look_up()
            return 1

    key = Key()
    kept(key, 60, lambda: "value")
    key.looked_up, key.on_look_up = 0, forget
    assert kept(key, 60, lambda: "value") == "value"
