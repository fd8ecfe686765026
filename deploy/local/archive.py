"""This file makes the class archive that halves the broker's start: once per machine, and never a reason to fail."""

import fcntl
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from deploy.local.errors import KafkaNotStarted
from deploy.local.jars import cache_directory, ensure_jars
from deploy.local.java import archive_path, java
from deploy.local.kafka import LocalKafka
from deploy.local.progress import Narrator

DUMP_TIMEOUT = 120.0  # seconds; eight on two idle cores


def ensure_archive(narrator: Narrator) -> None:
    """Start a broker once to learn which classes it loads, and have the JVM write them out ready for use.

    Takes about twelve seconds, and saves two and a half at every later start. Where another process is at it, or it
    fails, brokers simply start without.
    """
    classpath = ensure_jars(narrator)
    archive = archive_path(classpath)
    if archive.exists():
        return
    try:
        with (cache_directory() / "archive.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            narrator.say("preparing Kafka for faster starts, once (about 12 s) …")
            began = time.monotonic()
            _make(classpath, archive)
            narrator.say(f"prepared in {time.monotonic() - began:.1f} s")
    except BlockingIOError:
        return
    except (KafkaNotStarted, OSError, subprocess.SubprocessError) as fault:
        narrator.say(f"not prepared, starts stay slower: {fault}")


def _make(classpath: Sequence[Path], archive: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".archive.", dir=archive.parent) as scratch:
        classes, unfinished = Path(scratch, "classes"), Path(scratch, archive.name)
        learner = LocalKafka(
            Path(scratch, "kafka"), java_options=("-Xshare:off", f"-XX:DumpLoadedClassList={classes}")
        )
        try:
            learner.start()
        finally:
            learner.stop()
        dump = ("-Xshare:dump", f"-XX:SharedClassListFile={classes}", f"-XX:SharedArchiveFile={unfinished}")
        subprocess.run(java(classpath, *dump), check=True, capture_output=True, timeout=DUMP_TIMEOUT)
        for outdated in archive.parent.glob("kafka-*.jsa"):
            outdated.unlink(missing_ok=True)
        unfinished.replace(archive)
