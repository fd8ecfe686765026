"""This file writes the workspace that the demo runs: four inboxes at the simulated provider, and a team with its secrets."""

import os
import random
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr

from deploy.demo.texts import AGENT_NAMES
from libs.contracts.vocabulary import Channel
from libs.service.auth import Role, issue
from libs.workspace import Inbox, Workspace, load

WHATSAPP, TELEGRAM, WEBCHAT, CUSTOM = "wa-toko", "tg-toko", "chat-situs", "api-gudang"
SUPERVISOR = "sri"
PHONE_NUMBER_ID = "106540352242922"


@dataclass(frozen=True)
class Organisation:
    """A workspace file and the environment variables that it and the services need."""

    path: Path
    environ: Mapping[str, str]

    @cached_property
    def workspace(self) -> Workspace:
        return load(self.path, {**os.environ, **self.environ})

    def inbox(self, channel: Channel) -> Inbox:
        return next(inbox for inbox in self.workspace.inboxes.values() if inbox.channel is channel)

    def secret(self, inbox: str, name: str) -> str:
        return self.workspace.inboxes[inbox].credentials[name].reveal()

    def token(self, agent_id: str, role: Role = Role.AGENT) -> str:
        """A bearer token that outlasts any demo."""
        return issue(
            SecretStr(self.environ["SAMBUNG_JWT_SECRET"]),
            agent_id=agent_id,
            workspace=self.workspace.id,
            role=role,
            now=datetime.now(UTC),
            lifetime=timedelta(hours=12),
        )


def found(folder: Path, provider: str, *, agents: int = 14, capacity: int = 5, seed: int = 1) -> Organisation:
    """Write the file into the folder; `provider` is the base address of the simulated provider."""
    environ = {
        "SAMBUNG_JWT_SECRET": secrets.token_hex(32),
        "DEMO_WA_APP_SECRET": secrets.token_hex(16),
        "DEMO_WA_VERIFY_TOKEN": secrets.token_hex(8),
        "DEMO_WA_ACCESS_TOKEN": "EAAJB" + secrets.token_hex(24),
        "DEMO_WA_PHONE_NUMBER_ID": PHONE_NUMBER_ID,
        "DEMO_TG_SECRET_TOKEN": secrets.token_urlsafe(24),
        "DEMO_TG_BOT_TOKEN": f"110201543:{secrets.token_urlsafe(24)}",
        "DEMO_CHAT_SIGNING_KEY": secrets.token_hex(32),
        "DEMO_GUDANG_SIGNING_KEY": secrets.token_hex(32),
        "DEMO_GUDANG_OUTBOUND_KEY": secrets.token_hex(32),
        "DEMO_GUDANG_OUTBOUND_URL": f"{provider}/gudang/messages",
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "workspace.yaml"
    text = yaml.safe_dump(
        _document(provider, agents, capacity, random.Random(seed)), allow_unicode=True, sort_keys=False
    )
    path.write_text(text, "utf-8")
    return Organisation(path, environ)


def _document(provider: str, agents: int, capacity: int, rng: random.Random) -> dict[str, Any]:
    return {
        "id": "toko-nusantara",
        "inboxes": _inboxes(provider),
        "queues": {
            "umum": {"pool": "layanan", "skills": {"bahasa": 1}, "sla": "standar"},
            "pengembalian": {"pool": "layanan", "skills": {"refund": 2}, "wrap_up": "1s", "sla": "standar"},
            "prioritas": {"pool": "layanan", "skills": {"bahasa": 2}, "priority": 10, "sla": "cepat"},
        },
        # Short leases and targets, so that half a minute shows offers that lapse, warnings and breaches.
        "pools": {
            "layanan": {"reservation_lease": "5s", "presence_lease": "30s", "decline_memory": "20s"},
        },
        "agents": _agents(agents, capacity, rng),
        "sla_policies": {
            "standar": {
                "first_response": "6s",
                "resolution": "60s",
                "warn_at": [0.5, 0.8],
                "escalate": [
                    {"at": "80%", "metrics": ["first_response"], "raise_priority": 5},
                    {"at": "breach", "metrics": ["resolution"], "notify": ["pengawas"]},
                ],
            },
            "cepat": {"first_response": "4s", "resolution": "40s", "warn_at": [0.5, 0.8]},
        },
    }


def _inboxes(provider: str) -> dict[str, Any]:
    return {
        WHATSAPP: {
            "channel": "whatsapp",
            "queue": "umum",
            "credentials": {
                "app_secret": "env:DEMO_WA_APP_SECRET",
                "verify_token": "env:DEMO_WA_VERIFY_TOKEN",
                "access_token": "env:DEMO_WA_ACCESS_TOKEN",
                "phone_number_id": "env:DEMO_WA_PHONE_NUMBER_ID",
            },
            "provider": {"base_url": provider},
        },
        TELEGRAM: {
            "channel": "telegram",
            "queue": "umum",
            "credentials": {"secret_token": "env:DEMO_TG_SECRET_TOKEN", "bot_token": "env:DEMO_TG_BOT_TOKEN"},
            "provider": {"base_url": provider},
        },
        WEBCHAT: {
            "channel": "webchat",
            "queue": "prioritas",
            "credentials": {"signing_key": "env:DEMO_CHAT_SIGNING_KEY"},
        },
        CUSTOM: {
            "channel": "custom",
            "queue": "pengembalian",
            "credentials": {
                "signing_key": "env:DEMO_GUDANG_SIGNING_KEY",
                "outbound_key": "env:DEMO_GUDANG_OUTBOUND_KEY",
                "outbound_url": "env:DEMO_GUDANG_OUTBOUND_URL",
            },
        },
    }


def _agents(agents: int, capacity: int, rng: random.Random) -> dict[str, Any]:
    team: dict[str, Any] = {
        f"agen-{number:02}": {
            "name": AGENT_NAMES[number % len(AGENT_NAMES)],
            "pool": "layanan",
            "skills": {"bahasa": rng.randint(2, 5), "refund": 2 + number % 3},
            "capacity": capacity,
        }
        for number in range(1, agents + 1)
    }
    supervisor = {"name": "Sri Handayani", "pool": "layanan", "capacity": 0, "role": "supervisor"}
    return {**team, SUPERVISOR: supervisor}
