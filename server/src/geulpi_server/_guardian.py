"""Runs one server process and makes sure that nothing of it outlives its owner.

Usage: python -IS _guardian.py GRACE_S SHM_PREFIX FOLDER COMMAND [ARG …]

The owner holds the other end of this process's standard input. When that closes, because the owner
stopped the server or because the owner died, even by SIGKILL, the command is told to stop, then
killed after GRACE_S, and its shared memory and its run folder are removed. One way out for both
cases means that the clean stop is the tested one. The command's process id is the first line of
standard output.

Standard library only, few imports: every server costs one of these processes.
"""

import ctypes
import os
import select
import shutil
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
libc = ctypes.CDLL(None, use_errno=True)


def reap() -> dict[int, int]:
    """Collect every ended child: process id → wait status."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if not pid:
            return ended
        ended[pid] = status


def kill_descendants() -> None:
    # As the sub-reaper we inherit what the server leaves running: its Python stubs.
    children = f"/proc/{os.getpid()}/task/{os.getpid()}/children"
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        with open(children, encoding="ascii") as file:  # noqa: PTH123 -- keeps pathlib unimported
            pids = file.read().split()
        if not pids:
            return
        for pid in pids:
            os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.01)
        reap()


def start(command: list[str]) -> int:
    pid = os.fork()
    if pid:
        return pid
    for restored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(restored, signal.SIG_DFL)
    # Should even the guardian be killed, the kernel ends the server.
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # standard output is ours; the log is standard error
    try:
        os.execv(command[0], command)  # noqa: S606 -- no shell is wanted
    except OSError as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
    os._exit(127)


def clean_up(shm_prefix: str, folder: str) -> None:
    if shm_prefix:
        for name in os.listdir("/dev/shm"):  # noqa: S108, PTH208 -- the kernel's own place
            if name.startswith(shm_prefix):
                os.unlink(f"/dev/shm/{name}")  # noqa: S108, PTH108 -- as above
    shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    grace_s, shm_prefix, folder, *command = sys.argv[1:]
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    # A child's end must wake the select below.
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)

    pid = start(command)
    os.write(1, f"{pid}\n".encode())

    status: int | None = None
    deadline: float | None = None
    while status is None:
        wait_s = max(0.0, deadline - time.monotonic()) if deadline else None
        sources = [wake_read] if deadline else [wake_read, 0]
        ready, _, _ = select.select(sources, [], [], wait_s)
        if wake_read in ready:
            os.read(wake_read, 512)
        if 0 in ready and not os.read(0, 512):
            deadline = time.monotonic() + float(grace_s)
            os.kill(pid, signal.SIGTERM)
        if deadline and time.monotonic() >= deadline:
            os.kill(pid, signal.SIGKILL)
            deadline = time.monotonic() + 1
        status = reap().get(pid)

    kill_descendants()
    clean_up(shm_prefix, folder)
    return os.waitstatus_to_exitcode(status) & 0xFF


if __name__ == "__main__":
    sys.exit(main())
