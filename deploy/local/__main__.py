"""This file is the command line of the local servers: `python -m deploy.local up` and `python -m deploy.local fetch`."""

import shlex
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.local.archive import ensure_archive
from deploy.local.errors import LocalServerError
from deploy.local.process import tail
from deploy.local.progress import Narrator
from deploy.local.stack import DEFAULT_DATA, LocalStack

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

DataOption = Annotated[
    Path | None,
    typer.Option(
        help=f"Where the servers keep their files (default with --keep: {DEFAULT_DATA}, else a temporary directory)."
    ),
]
KeepOption = Annotated[bool, typer.Option("--keep", help="Keep the data for the next run with --keep.")]


@app.command()
def up(data: DataOption = None, keep: KeepOption = False) -> None:
    """Run Kafka and PostgreSQL until Ctrl-C."""
    console = Console()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with LocalStack(data, keep, console) as stack:
            console.print("For other shells (Ctrl-C here stops both):")
            for name, address in (("KAFKA", stack.servers.kafka), ("POSTGRES", stack.servers.postgres)):
                print(f"export SAMBUNG_{name}={shlex.quote(address)}", flush=True)
            watch(stack)
    except KeyboardInterrupt:
        console.print("stopped")


def watch(stack: LocalStack) -> None:
    """Return never; raises LocalServerError when a server ends that nobody stopped."""
    pause = threading.Event()
    while True:
        for server in (stack.kafka, stack.postgres):
            if server and not server.running:
                raise LocalServerError(f"a server has ended. Last lines of {server.log}:\n{tail(server.log)}")
        pause.wait(1)


@app.command()
def fetch() -> None:
    """Download the broker's jars and prepare them, so that the first start needs no network and no patience."""
    ensure_archive(Narrator(Console()))


def main() -> None:
    try:
        app()
    except LocalServerError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
