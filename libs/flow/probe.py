"""This file answers whether the broker is there, also for a process that publishes nothing and owns no lane just now."""

import asyncio

from aiokafka.conn import AIOKafkaConnection, collect_hosts, create_conn
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import ApiVersionRequest


class BrokerProbe:
    """Keeps one connection of its own and asks the cheapest question over it."""

    def __init__(self, kafka: str, *, within: float = 2.0) -> None:
        self._kafka, self._within = kafka, within
        self._connection: AIOKafkaConnection | None = None

    async def answers(self) -> bool:
        """Whether any bootstrap server answered in time. One that accepts connections and says nothing is not there."""
        try:
            async with asyncio.timeout(self._within):
                if self._connection is None:
                    self._connection = await self._connect()
                await self._connection.send(ApiVersionRequest())
        except Exception:  # the library lets more than its own errors out of a broken connection
            self.close()
            return False
        return True

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    async def _connect(self) -> AIOKafkaConnection:
        fault: Exception = OSError("no bootstrap server is named")
        for host, port, _ in collect_hosts(self._kafka):
            try:
                return await create_conn(host, port, client_id="sambung-probe")
            except (KafkaError, OSError) as refused:
                fault = refused
        raise fault
