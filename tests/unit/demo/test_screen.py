"""This file proves that a screen notices what it must never be shown."""

from typing import Any

import pytest

from deploy.demo.screen import Screen


def screen() -> Screen:
    return Screen(lambda: "http://127.0.0.1:9", "token", lambda frame: None, name="ayu")


def event(name: str, version: int, *, kind: str = "message.received.v1", **data: Any) -> dict[str, Any]:
    body = {
        "conversation_id": "cnv_1",
        "work_item_id": "wki_1",
        "clock_id": "clk_1",
        "agent_id": "ayu",
        **data,
    }
    return {
        "type": "event",
        "cursor": name,
        "event": {"id": name, "type": kind, "version": version, "data": body},
    }


def test_events_in_order_are_no_fault() -> None:
    one = screen()
    for number in range(1, 5):
        one._take(event(f"/conversations/3#{number}", number))
    one._take(event("/assignment/1#9", 1, kind="work.queued.v1"))
    one._take(event("/sla/1#4", 1, kind="clock.started.v1"))
    assert one.faults == []


def test_the_same_event_twice_is_a_fault() -> None:
    one = screen()
    for _ in range(2):
        one._take(event("/conversations/3#7", 7))
    assert any("shown twice" in fault for fault in one.faults)


def test_a_conversation_that_goes_back_is_a_fault() -> None:
    one = screen()
    one._take(event("/conversations/3#7", 7))
    one._take(event("/conversations/3#8", 6))
    assert one.faults == ["ayu: cnv_1 went from version 7 to 6 by message.received.v1"]


@pytest.mark.parametrize("kind", ["command.refused.v1", "contact.resolved.v1"])
def test_events_without_a_version_of_their_own_are_not_compared(kind: str) -> None:
    one = screen()
    for number in (2, 1):
        one._take(event(f"/x#{number}", number, kind=kind))
    assert one.faults == []


def test_a_snapshot_may_show_everything_once_more() -> None:
    one = screen()
    one._take(event("/conversations/3#7", 7))
    one._take({"type": "snapshot", "cursor": "c"})
    one._take(event("/conversations/3#7", 7))
    assert one.faults == []
