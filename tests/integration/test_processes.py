"""This file proves the verbs by which the demo, the benchmark and the chaos campaign run services."""

from pathlib import Path

import pytest

from deploy.demo.organisation import found
from deploy.demo.processes import ServiceDied, Services
from deploy.local.stack import Servers

NOWHERE = Servers("127.0.0.1:9", "postgresql://nobody@127.0.0.1:9/nothing")


async def test_a_service_that_ends_by_itself_is_reported_with_its_last_words(tmp_path: Path) -> None:
    organisation = found(tmp_path, "http://127.0.0.1:9")
    services = Services(NOWHERE, organisation.path, tmp_path / "logs", environ={}, names=["delivery"])
    with pytest.raises(ServiceDied) as died:
        await services.start()
    assert died.value.name == "delivery"
    assert "env:DEMO_WA_APP_SECRET" in str(died.value)
    assert str(services["delivery"].log) in str(died.value)
    await services.stop()


@pytest.mark.kafka
@pytest.mark.postgres
async def test_a_service_can_be_killed_and_started_again_at_the_same_address(
    kafka: str, postgres_dsn: str, tmp_path: Path
) -> None:
    organisation = found(tmp_path, "http://127.0.0.1:9")
    services = Services(
        Servers(kafka, postgres_dsn),
        organisation.path,
        tmp_path / "logs",
        environ=organisation.environ,
        names=["ingest"],
    )
    try:
        await services.start()
        address, pid = services["ingest"].url, services["ingest"].pid
        services.kill("ingest")
        assert not services["ingest"].running
        services.check()  # killed on purpose is not died
        await services.start("ingest")
        assert services["ingest"].url == address
        assert services["ingest"].pid != pid
        second = services.add("ingest.2")
        await services.start("ingest.2")
        assert second.url != address
        assert second.running
    finally:
        await services.stop()
    assert not any(service.running for service in services.all)
