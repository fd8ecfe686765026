"""What the desk knows of conversations, work, SLA clocks and agents: values, and how each event changes them.

Every entity carries a version. An event whose version is not above its entity's is an overlap and changes nothing.
"""
