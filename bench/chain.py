"""This file sets up our chain for measurement: one inbox, agents who take everything, conversations that are already theirs."""

import asyncio
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import yaml
from pydantic import SecretStr

from bench.load import Post
from deploy.demo.processes import Services
from deploy.demo.shapes import Person, Said, WhatsAppShape
from deploy.local.stack import Servers
from libs.contracts.ids import InboxId, contact_point_id, conversation_id
from libs.service.auth import Role, issue

INBOX, PHONE_NUMBER_ID, WORKSPACE = "wa-bench", "106540352242922", "bench"
MESSAGE, NEW = "message", "new conversation"


@dataclass(frozen=True)
class Chain:
    """Our six services and what is needed to talk to them."""

    services: Services
    shape: WhatsAppShape
    secret: str
    agents: Sequence[str]

    def post(self, name: str, address: str) -> Post:
        """One customer's message; `name` is its wamid's end and its text."""
        now = datetime.now(UTC)
        said = Said(
            Person(address, "Bu Rina"), f"wamid.{name}", now, f"Halo, pesanan saya belum sampai ({name})"
        )
        body = self.shape.messages([said])
        url = f"{self.services['ingest'].url}/v1/inboxes/{INBOX}/webhook"
        return Post(url, body, dict(self.shape.headers(body, now)), name)

    def sockets(self) -> list[tuple[str, dict[str, str]]]:
        url = self.services["desk"].url.replace("http://", "ws://") + "/v1/feed"
        return [(url, {"Authorization": f"Bearer {self._token(agent)}"}) for agent in self.agents]

    async def set_available(self) -> None:
        async with aiohttp.ClientSession() as session:
            for agent in self.agents:
                url = f"{self.services['desk'].url}/v1/agents/me/presence"
                headers = {"Authorization": f"Bearer {self._token(agent)}"}
                async with session.post(url, json={"presence": "available"}, headers=headers) as answer:
                    if answer.status != 200:
                        raise RuntimeError(
                            f"{agent} cannot be set available: {answer.status} {await answer.text()}"
                        )

    def _token(self, agent: str) -> str:
        return issue(
            SecretStr(self.secret), agent_id=agent, workspace=WORKSPACE, role=Role.AGENT, now=datetime.now(UTC),
            lifetime=timedelta(hours=6),
        )  # fmt: skip


def address_of(customer: int) -> str:
    return f"62812{customer:08}"


def conversation_of(address: str) -> str:
    """The id of a customer's first conversation."""
    return conversation_id(contact_point_id(InboxId(INBOX), address), 1)


def chain(servers: Servers, folder: Path, agents: int = 20) -> Chain:
    """Write the workspace, make the services; nothing runs yet."""
    folder.mkdir(parents=True, exist_ok=True)
    secret, app_secret = secrets.token_hex(32), secrets.token_hex(16)
    names = [f"agent-{n:02}" for n in range(agents)]
    document = {
        "id": WORKSPACE,
        "inboxes": {
            INBOX: {
                "channel": "whatsapp",
                "queue": "all",
                "credentials": {
                    "app_secret": "env:BENCH_APP_SECRET",
                    "verify_token": "env:BENCH_APP_SECRET",
                    "access_token": "env:BENCH_APP_SECRET",
                    "phone_number_id": "env:BENCH_PHONE_NUMBER_ID",
                },
            }
        },
        "queues": {"all": {"pool": "all", "sla": "standard"}},
        "pools": {"all": {"auto_accept": True, "presence_lease": "10m"}},
        "agents": {name: {"name": name, "pool": "all", "capacity": 10_000} for name in names},
        "sla_policies": {"standard": {"first_response": "1h", "resolution": "8h", "warn_at": [0.8]}},
    }
    path = folder / "workspace.yaml"
    path.write_text(yaml.safe_dump(document), "utf-8")
    environ = {
        "SAMBUNG_JWT_SECRET": secret,
        "BENCH_APP_SECRET": app_secret,
        "BENCH_PHONE_NUMBER_ID": PHONE_NUMBER_ID,
    }
    services = Services(servers, path, folder / "logs", environ=environ, log_level="WARNING")
    return Chain(services, WhatsAppShape(app_secret, PHONE_NUMBER_ID), secret, names)


class Reader:
    """What a frame of the desk's feed shows: messages by their text's mark, new conversations by their id."""

    def __init__(self) -> None:
        self.new: dict[str, str] = {}
        """Conversation id -> name of the post that opens it."""

    def __call__(self, frame: str) -> Sequence[tuple[str, str]]:
        if not frame.startswith('{"type":"event"'):
            return ()
        event = json.loads(frame)["event"]
        if event["type"] == "message.received.v1":
            return ((event["data"]["provider_message_id"].removeprefix("wamid."), MESSAGE),)
        if event["type"] == "work.assigned.v1":
            name = self.new.get(event["conversation_id"])
            return ((name, NEW),) if name else ()
        return ()


LAG = re.compile(r"^sambung_flow_lag_records\{.*\} (\S+)$", re.MULTILINE)


async def at_rest(services: Services, within: float = 60.0) -> None:
    """Every service serves its lanes and has read all that is on the log. Raises TimeoutError."""
    await asyncio.gather(*(services.until_ready(s.name, within=within) for s in services.all if s.running))
    async with asyncio.timeout(within), aiohttp.ClientSession() as session:
        quiet = 0
        while quiet < 4:
            await asyncio.sleep(0.5)
            lags = [await _lag(session, service.url) for service in services.all if service.running]
            quiet = quiet + 1 if not any(lags) else 0


async def _lag(session: aiohttp.ClientSession, url: str) -> float:
    """Records on the log that a service has not applied."""
    async with session.get(f"{url}/metrics") as answer:
        return sum(float(value) for value in LAG.findall(await answer.text()))
