"""This file prints what a webhook body would be published as: `python -m services.ingest.parse <channel> <file…>`."""

import argparse
import json
import sys
from pathlib import Path

from libs.contracts.vocabulary import Channel
from libs.timesource import SystemTime
from libs.workspace import Inbox
from services.ingest.channels import ADAPTERS
from services.ingest.channels.adapter import RawRequest, Unparsable


def main(argv: list[str] | None = None) -> int:
    """One JSON line per item, with its type first. Status 1 where a body cannot be read; the others are printed all the same."""
    parser = argparse.ArgumentParser(prog="python -m services.ingest.parse", description=__doc__)
    parser.add_argument("channel", choices=[channel.value for channel in ADAPTERS])
    parser.add_argument("file", nargs="+", help="a body as the provider sends it; - reads standard input")
    arguments = parser.parse_args(argv)
    inbox = Inbox(id="anonymous", channel=Channel(arguments.channel), queue="")
    wrong = 0
    for name in arguments.file:
        try:
            body = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
            items = ADAPTERS[inbox.channel].parse(RawRequest(body, SystemTime().now()), inbox)
        except (Unparsable, OSError) as fault:
            print(f"{name}: {fault}", file=sys.stderr)
            wrong = 1
            continue
        for item in items:
            line = {"type": item.type} | item.model_dump(mode="json", exclude_none=True)
            print(json.dumps(line, ensure_ascii=False))
    return wrong


if __name__ == "__main__":
    sys.exit(main())
