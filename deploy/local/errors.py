"""This file holds what can go wrong on the way to a running server; each text says what to do.

LocalServerError
├── DataInUse           another run works in this directory: stop it, or choose another
├── LockError           the list of jars is damaged: correct it or write it anew
├── JarUnavailable      a jar could not be fetched: look at the network, or use a broker of your own
├── KafkaNotStarted     the broker did not come up: read the log lines
└── PostgresNotStarted  the database did not come up: read the log lines
"""


class LocalServerError(RuntimeError):
    """The local servers are not to be had; show the text to whoever asked for them."""


class DataInUse(LocalServerError):
    """Another run has its servers in this directory: stop that one, or choose another directory."""


class LockError(LocalServerError):
    """The lock cannot be read: correct it or write it anew with `python -m deploy.local.jars lock`."""


class JarUnavailable(LocalServerError):
    """A jar could not be had: the text names it, what was tried, and what to do."""


class KafkaNotStarted(LocalServerError):
    """The broker did not come up; the text ends with its last log lines."""


class PostgresNotStarted(LocalServerError):
    """The database did not come up; the text ends with its last log lines."""
