"""This package runs a real Kafka and a real PostgreSQL on one machine, without root, Docker, Java or an installed database.

`stack` is the door: `with LocalStack() as stack: stack.servers`. `kafka` and `postgres` are one server each, with the verbs
that tests and the demo need (start, stop, kill, suspend, resume). `jars` fetches the broker; `guard` sees to it that no
server outlives the process that started it.
"""
