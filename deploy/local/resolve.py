"""This file works out which jars a broker needs; only `python -m deploy.local.jars lock` uses it."""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jgo.maven import Artifact, MavenContext, PythonResolver

from deploy.local.jars import THREADS, Jar, sha256_of

# The broker, and the log library that writes to standard error without configuration.
ROOTS = ("org.apache.kafka:kafka_2.13:4.3.1", "org.slf4j:slf4j-simple:1.7.36")


def resolve() -> list[Jar]:
    """The roots and all that they need at run time, each fetched once to learn its digest.

    The resolver skips a POM that it cannot fetch, with all that hangs from it: compare the number of lines with the lock
    before it, and start a broker, before committing.
    """
    with tempfile.TemporaryDirectory() as scratch:
        resolver = PythonResolver()
        context = MavenContext(resolver=resolver, repo_cache=Path(scratch))
        roots = [context.create_dependency(root) for root in ROOTS]
        _, needed = resolver.get_dependency_list(roots)
        artifacts = [dependency.artifact for dependency in (*roots, *(node.dep for node in needed))]
        with ThreadPoolExecutor(THREADS) as pool:
            return sorted(pool.map(_jar, artifacts))


def _jar(artifact: Artifact) -> Jar:
    path = artifact.resolve()
    digest = sha256_of(path)
    if digest is None:
        raise FileNotFoundError(path)
    return Jar(artifact.groupId, artifact.artifactId, artifact.version, digest)
