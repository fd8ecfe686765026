"""This file prints a token: `SAMBUNG_JWT_SECRET=… SAMBUNG_WORKSPACE=… python -m services.desk.token AGENT`."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from libs.service.auth import SHORTEST_SECRET, Role, issue
from libs.timesource import SystemTime
from libs.workspace import WorkspaceError, load


def token(
    agent: Annotated[str, typer.Argument(help="The agent's id; with --role service, any name.")],
    workspace: Annotated[Path, typer.Option(envvar="SAMBUNG_WORKSPACE", help="The workspace file.")],
    role: Annotated[
        Role | None, typer.Option(help="What the caller may do; the agent's own role if not given.")
    ] = None,
    hours: Annotated[float, typer.Option(min=0.01, max=8760, help="For how long the token is good.")] = 12.0,
) -> None:
    """Print a bearer token for an agent of the workspace."""
    secret = os.environ.get("SAMBUNG_JWT_SECRET", "")
    if len(secret.encode()) < SHORTEST_SECRET:
        raise typer.BadParameter(f"SAMBUNG_JWT_SECRET must be set, to at least {SHORTEST_SECRET} bytes")
    try:
        known = load(workspace, secrets=False)
    except WorkspaceError as fault:
        raise typer.BadParameter(str(fault)) from None
    if role is None:
        if agent not in known.agents:
            raise typer.BadParameter(f"{workspace} has no agent {agent}; it has {', '.join(known.agents)}")
        role = Role(known.agents[agent].role)
    lifetime = timedelta(hours=hours)
    text = issue(
        SecretStr(secret),
        agent_id=agent,
        workspace=known.id,
        role=role,
        now=SystemTime().now(),
        lifetime=lifetime,
    )
    typer.echo(text)


if __name__ == "__main__":
    typer.run(token)
