"""This file answers whether the broker is there, for processes that would not notice because they own no lanes."""

import asyncio

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError


async def broker_answers(kafka: str, *, within: float = 2.0) -> bool:
    """Connect anew and ask for metadata. A broker that accepts connections and says nothing is not there."""
    client = AIOKafkaClient(
        bootstrap_servers=kafka, client_id="sambung-probe", request_timeout_ms=int(within * 1000)
    )
    try:
        async with asyncio.timeout(within):
            await client.bootstrap()
    except (KafkaError, OSError, TimeoutError):
        return False
    else:
        return True
    finally:
        await client.close()
