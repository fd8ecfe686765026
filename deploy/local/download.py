"""This file fetches one file over HTTP so that it is either whole and right under its name, or not there."""

import contextlib
import hashlib
import os
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

TRIES = 5
FIRST_PAUSE = 0.5  # seconds, doubled after each try: 7.5 s in all, which outlasts a hiccup of a proxy
TRY_AGAIN = {408, 425, 429}  # of the 4xx answers; every 5xx too


class DownloadFailed(RuntimeError):
    """No try gave the content; the text has one clause for each try."""


class _Retryable(Exception):
    """This try failed in a way that another may not."""


class Downloader:
    """Fetches with verification, retries and an atomic rename. Shared by threads; setting `stop` ends all of them early.

    Proxies and certificates come from the environment (HTTPS_PROXY, SSL_CERT_FILE).
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._client = httpx.Client(follow_redirects=True, timeout=httpx.Timeout(30, connect=10))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def fetch(self, url: str, target: Path, sha256: str) -> None:
        """Put the content of `url`, which must have this digest, at `target`; raises DownloadFailed."""
        faults: list[str] = []
        for attempt in range(TRIES):
            if self._stop.wait(FIRST_PAUSE * 2 ** (attempt - 1) if attempt else 0):
                faults.append("stopped")
                break
            try:
                return self._fetch_once(url, target, sha256)
            except (_Retryable, httpx.TransportError) as fault:
                faults.append(str(fault) or type(fault).__name__)
            except httpx.HTTPStatusError as refusal:
                faults.append(f"HTTP {refusal.response.status_code}")
                break
        tried = "; ".join(f"try {number}: {fault}" for number, fault in enumerate(faults, start=1))
        raise DownloadFailed(tried)

    def _fetch_once(self, url: str, target: Path, sha256: str) -> None:
        digest = hashlib.sha256()
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        unfinished = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file, self._client.stream("GET", url) as response:
                if response.status_code in TRY_AGAIN or response.is_server_error:
                    raise _Retryable(f"HTTP {response.status_code}")
                response.raise_for_status()
                for chunk in response.iter_bytes():
                    if self._stop.is_set():
                        raise _Retryable("stopped")
                    file.write(chunk)
                    digest.update(chunk)
            if digest.hexdigest() != sha256:
                raise _Retryable(
                    f"{unfinished.stat().st_size} bytes with sha256 {digest.hexdigest()}, expected {sha256}"
                )
            unfinished.chmod(0o644)
            unfinished.replace(target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                unfinished.unlink()
