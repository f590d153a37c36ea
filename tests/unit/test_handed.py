"""Objects that are handed over by name."""

from __future__ import annotations

from threading import Thread

from bench.core.handed import handed, handed_over


def test_a_name_leads_to_one_object_while_it_is_looked_up() -> None:
    """Two threads of a notebook may each hand over a function of the same name."""
    mine, others = {"handed:f": print}, {"handed:f": len}

    def hand_over() -> None:
        with handed_over(others):
            pass

    thread = Thread(target=hand_over)
    with handed_over(mine):
        thread.start()
        thread.join(0.2)
        assert handed("handed:f") is print
    thread.join()
    assert handed("handed:f") is len
