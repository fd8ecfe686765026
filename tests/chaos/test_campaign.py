"""This file is the short campaign that every run of the tests includes: a few kills, all promises counted."""

from pathlib import Path

import pytest

from deploy.local.stack import LocalStack
from tests.chaos.campaign import Campaign, run

pytestmark = [pytest.mark.chaos, pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(420)]


async def test_a_few_kills_under_load_break_no_promise(data_directory: Path) -> None:
    with LocalStack() as stack:
        mix = {"kill": 5, "zombie": 2, "session": 1}
        outcome = await run(Campaign(6, seed=11, rate=6, mix=mix), stack, data_directory, lambda _done: None)
    broken = {finding.promise: finding.offenders[:5] for finding in outcome.findings if finding.offenders}
    assert broken == {}
    assert sum(outcome.done.values()) == 6
    assert outcome.findings[0].checked > 20, "there was no load"
