"""This file is the short campaign that every run of the tests includes: a few faults, all promises counted."""

import asyncio
from pathlib import Path

import pytest

from deploy.local.stack import LocalStack
from tests.chaos.campaign import Campaign, run

pytestmark = [pytest.mark.chaos, pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(420)]

FAULTS = 9


async def test_a_few_faults_under_load_break_no_promise(data_directory: Path) -> None:
    stack = LocalStack()
    await asyncio.to_thread(stack.start)
    try:
        campaign = Campaign(FAULTS, seed=11, rate=10, between=0.8)
        outcome = await run(campaign, stack, data_directory, lambda _phase, _done: None)
    finally:
        await asyncio.to_thread(stack.stop)
    broken = {finding.promise: finding.offenders[:5] for finding in outcome.findings if finding.offenders}
    assert broken == {}
    assert sum(outcome.done.values()) == FAULTS
    assert all(finding.checked for finding in outcome.findings), "something was not looked at"
