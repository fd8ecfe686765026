"""This file finds an account and directories for a server that refuses to run as root; without root it does nothing."""

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from deploy.local.process import Account

NAME = "pgserver"
# Where root keeps what that account must read when the checkout lies where only root can go, such as root's home.
SHARED = Path("/var/lib/sambung")


def unprivileged_account() -> Account | None:
    """Whom to run as: nobody else without root; with root the account `pgserver`, made if missing, or else `nobody`."""
    if os.geteuid() != 0:
        return None
    found = _lookup(NAME)
    if found is None and (useradd := shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")):
        command = [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", NAME]
        subprocess.run(command, check=False, capture_output=True)
        found = _lookup(NAME)
    found = found or _lookup("nobody")
    if found is None:
        raise RuntimeError(
            "PostgreSQL refuses to run as root, and there is neither useradd nor an account `nobody`"
        )
    return found


def can_be_entered(directory: Path) -> bool:
    """Whether permission bits let every account pass through `directory` and all its parents."""
    directory = directory.resolve()
    return all(_has_bits(place, stat.S_IXOTH) for place in (directory, *directory.parents))


def can_be_run(program: Path) -> bool:
    """Whether every account may read and execute this file."""
    return can_be_entered(program.parent) and _has_bits(program, stat.S_IROTH | stat.S_IXOTH)


def temporary_directory(prefix: str) -> Path:
    """A new directory of this account's own; for root, one that the server's account can enter as well."""
    if os.geteuid() != 0:
        return Path(tempfile.mkdtemp(prefix=prefix))
    base = next((b for b in (Path(tempfile.gettempdir()), Path("/tmp")) if can_be_entered(b)), None)
    made = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
    made.chmod(0o755)
    return made


def _lookup(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name, entry.pw_uid, entry.pw_gid)


def _has_bits(path: Path, bits: int) -> bool:
    try:
        return path.stat().st_mode & bits == bits
    except OSError:
        return False
