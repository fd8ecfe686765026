"""This file is a tiny parent for one server: whoever starts the guard may die in any way, the server dies after it.

    guard.py LIFELINE REPORT SIGNAL GRACE UID:GID SCRATCH -- command...

LIFELINE is the read end of a pipe whose write end only the starter holds, so the kernel closes it for a starter that was
killed. A byte and then the end means stop; the end alone means the starter crashed, and then the directory SCRATCH is
removed as well ("-": none). REPORT gets the server's pid. UID:GID is the account to run as ("-": unchanged).
Stopping is SIGNAL, GRACE seconds, SIGKILL. Only the standard library's light modules: it runs once per server, for ever.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Iterator

ASKED_TO_STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
HANDLED = (*ASKED_TO_STOP, signal.SIGCHLD)


def spawn(command: list[str], account: str) -> int:
    """Start the command in a session of its own, so that Ctrl-C in a terminal does not reach it."""
    # Held back until the child has handlers of its own: a request to stop that came between fork and exec would be lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        return pid
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        # CPython ignores the last two, and an ignored signal stays ignored across exec.
        for signum in (*HANDLED, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        if account != "-":
            uid, gid = (int(part) for part in account.split(":"))
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"cannot start {command[0]}: {error}\n".encode())
    os._exit(127)


def children(pid: int) -> Iterator[int]:
    """Pids whose parent is `pid`; nothing where there is no /proc."""
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib would double the memory of this process
            if name.isdigit() and parent_of(name) == pid:
                yield int(name)


def parent_of(name: str) -> int:
    try:
        with open(f"/proc/{name}/stat", "rb") as stat:  # noqa: PTH123 - as above
            # "pid (name) state ppid …", where the name may hold spaces and parentheses.
            return int(stat.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def send(signum: int, *pids: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)


def watch(pid: int, lifeline: int, wake: int, stop_signal: int, grace: float) -> tuple[int, bool]:
    """Until the server ends: its exit status, and whether the starter crashed."""
    poller = select.poll()
    poller.register(lifeline, select.POLLIN)
    poller.register(wake, select.POLLIN)
    deadline: float | None = None
    crashed = False
    while True:
        remaining = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        stop = False
        for fd, _ in poller.poll(remaining):
            if fd == wake:
                stop = stop or any(signum in ASKED_TO_STOP for signum in os.read(wake, 512))
            else:
                poller.unregister(lifeline)
                crashed = os.read(lifeline, 1) == b""
                stop = True
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), crashed
        if stop and deadline is None:
            # A stopped process hears nothing but SIGKILL and SIGCONT; a database's children are stopped one by one.
            send(stop_signal, pid)
            send(signal.SIGCONT, pid, *children(pid))
            deadline = time.monotonic() + grace
        elif deadline is not None and time.monotonic() >= deadline:
            send(signal.SIGKILL, *children(pid), pid)
            deadline = time.monotonic() + grace


def main(argv: list[str]) -> int:
    lifeline, report, stop_signal = (int(number) for number in argv[1:4])
    grace, account, scratch, command = float(argv[4]), argv[5], argv[6], argv[8:]
    os.set_inheritable(lifeline, False)
    os.set_inheritable(report, False)
    wake, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    for signum in HANDLED:
        signal.signal(signum, lambda *_: None)  # heard through the wake-up pipe
    pid = spawn(command, account)
    with contextlib.suppress(BrokenPipeError):
        os.write(report, b"%d\n" % pid)
    os.close(report)
    code, crashed = watch(pid, lifeline, wake, stop_signal, grace)
    if crashed and scratch != "-":
        import shutil  # noqa: PLC0415 - only the crash pays for it

        shutil.rmtree(scratch, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(scratch))  # noqa: PTH106, PTH120 - the run's directory, once its last server is gone
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv))
