"""This file holds the rules for waiting items whose demands relax with time, and of which steps are skipped for want of anybody."""

from dataclasses import replace
from typing import TYPE_CHECKING

from services.router.assignment.domain.inputs import WaitLapsed
from services.router.assignment.domain.matching import wakes_at
from services.router.assignment.domain.work import WorkItem

if TYPE_CHECKING:
    from services.router.assignment.domain.step import Step


def relaxed(step: "Step", item: WorkItem) -> WorkItem:
    """The item with the steps whose wait is over, and those that are skipped for want of anybody."""
    steps = step.policy.relaxations.get(item.queue)
    if not steps:
        return item
    waited, taken = step.now - item.waiting_since, item.step
    while taken < len(steps) and (
        waited >= steps[taken].after
        or (steps[taken].skip_if_nobody and _nobody(step, replace(item, step=taken)))
    ):
        taken += 1
    return replace(item, step=taken) if taken != item.step else item


def relax(step: "Step", item: WorkItem) -> bool:
    """Take the steps that are due, if any; told when nobody takes the item even so."""
    after, name = relaxed(step, item), item.work_item_id
    if after is item:
        return False
    step.book.put_item(after)
    step.loose[name] = step.loose.get(name) or "relaxed"
    return True


def watch(step: "Step", item: WorkItem) -> None:
    """Be reminded of a waiting item when its next step relaxes, or somebody is no longer held back."""
    if not step.book.wakes:
        return
    due = wakes_at(step.book, item, step.now)
    if due is not None and (item.wake_at is None or not step.now < item.wake_at <= due):
        due = max(due, step.now)
        step.book.put_item(replace(item, wake_at=due))
        step.remind(f"wait/{item.work_item_id}", due, WaitLapsed(item.work_item_id))


def loosen_deserted(step: "Step", agent_id: str) -> None:
    """Whoever waits for agents like this one, of whom the last has gone, may skip to the next step at once."""
    group = step.book.roster.group(agent_id)
    if group is not None and not group.connected and step.policy.relaxations:
        step.loosen_lines(group.lines)


def _nobody(step: "Step", item: WorkItem) -> bool:
    return not any(group.connected for group in step.book.waiting.line_of(item).groups)
