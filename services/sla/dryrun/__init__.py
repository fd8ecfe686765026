"""Recorded traffic under SLA policies: the clocks of a recording made again, or those that other policies would have made.

Reads: a folder of `make record`, or the running log. Writes: a table, figures and a plot. Owns nothing.
What is counted is what the policies would have promised from the first event on; what happened stays as it was, so people
who would have been faster, or slower, for other policies are not, and a step of escalation moves nobody.
"""
