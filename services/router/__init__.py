"""Turns items of providers into conversations, and brings each to the right agent.

Owns: contact points, identity evidence, conversations and the names of messages (flow *conversations*, key: contact
    point); work items, agents, reservations (flow *assignment*, key: pool). Both in the schema `router`.
Reads: `inbound`, `commands`, `deliveries`, `assignments`, `sla`; `work`, `agent-commands`.
Emits: `conversations`, `identity`, `outbound`, `work`; `assignments`, `agents`.
Invariants: a contact point has at most one conversation that is not resolved; a conversation's events are numbered
    without gaps; a message's status only moves up; only verified identifiers link a contact point to a contact, and
    nothing that was appended is changed; a command is answered once, by an event or by `command.refused`; an agent
    never holds more than the capacity says, unless a supervisor forced it.
The two flows meet only on topics, as if they were two services.
"""
