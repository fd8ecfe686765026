"""This file shows that a broken connection never looks like wrong topics or a wrong programme."""

from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from libs.flow.topics import BrokerAway, verify


@pytest.mark.parametrize("fault", [KeyError((1, 0)), AssertionError(), OSError("reset")], ids=repr)
async def test_whatever_the_library_lets_out_of_a_broken_connection_means_that_the_broker_is_away(
    fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def started(_: Any) -> None: ...

    async def broken(_: Any, __: Any) -> None:
        raise fault

    monkeypatch.setattr(AIOKafkaAdminClient, "start", started)
    monkeypatch.setattr(AIOKafkaAdminClient, "describe_topics", broken)
    with pytest.raises(BrokerAway, match="went away"):
        await verify("127.0.0.1:1")
