"""This file follows the agents' replies to the customers, and sets apart the copies that no sender could have avoided."""

from collections import defaultdict

from deploy.demo.ledger import Ledger, Outgoing
from deploy.demo.reconcile import Finding
from libs.contracts.vocabulary import Channel
from tests.chaos.log import Log

KEYLESS = (Channel.WHATSAPP, Channel.TELEGRAM)
"""Providers that take no idempotency key: a send that was under way when its process was killed may be repeated."""
TAKEN = ("done", "accepted")


def replies(ledger: Ledger, log: Log) -> tuple[Finding, list[str]]:
    """P1, P2: none lost, none twice; and the replies of which a provider without keys got more than one copy."""
    finding = Finding("every reply that the desk took is one message, and reached its customer once")
    sent: dict[str, list[Outgoing]] = defaultdict(list)
    for one in ledger.outgoing.values():
        sent[one.text].append(one)
        if one.text not in ledger.replies:
            finding.offenders.append(f"{one.channel} got {one.text[:60]!r}, which nobody wrote")
    inboxes = {one.contact_point_id: one.inbox for one in ledger.incoming.values()}
    repeated: list[str] = []
    for text, reply in ledger.replies.items():
        said, found = log.replies[text], sent[text]
        copies = sum(one.copies for one in found)
        where = f"{reply.conversation_id} on {inboxes.get(reply.contact_point_id, 'no inbox')}"
        told = f"reply {text[-24:]!r} of {reply.agent_id} in {where}: {said} messages, {copies} copies"
        if said == 0 and not found and reply.outcome not in TAKEN:
            finding.checked += 1
        elif said == 1 and len(found) == 1 and copies > 1 and found[0].channel in KEYLESS:
            finding.checked += 1
            repeated.append(f"{found[0].channel}: {told}")
        else:
            finding.expect(said == len(found) == copies == 1, told)
    return finding, repeated
