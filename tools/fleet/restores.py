# SPDX-License-Identifier: Apache-2.0
"""Restores: page servers on the worker, and replay VMMs that resume from them without a pause and compare
every byte with the image that was frozen."""

import json
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from network import FleetError, Network

READY_MAX_S = 30.0
RESTORE_MAX_S = 60.0  # a restore that takes longer hangs
PAGE_BYTES = 4096
LOG_TAIL_LINES = 6


@dataclass
class Restore:
    """How one VMM fared."""

    socket: Path
    begun: float
    exit_code: int
    report: dict | None  # None: it ended before it could tell
    hung: bool = False

    @property
    def passed(self) -> bool:
        return self.exit_code == 0 and self.report is not None


@dataclass
class Guest:
    """What every replay VMM is: the program, the image it compares with, and the seed of its touches."""

    program: Path
    image: Path
    image_bytes: int
    seed: int = 1
    running: list = field(default_factory=list)

    def options(self, socket: Path, number: int) -> dict:
        return {
            "socket_path": str(socket),
            "image_path": str(self.image),
            "regions": [{"bytes": self.image_bytes, "offset": 0}],
            "touching": {
                "order": "permutation", "threads": 2, "write_percent": 30, "every_page": True,
                "seed": self.seed * 1000 + number,
            },
        }

    def resume(self, socket: Path, number: int) -> Restore:
        """Blocks until the VMM has ended. Callable from many threads."""
        begun = time.monotonic()
        # It dies with its standard input, so with this process.
        # pylint: disable=consider-using-with
        vmm = subprocess.Popen(
            [self.program, "--die-with-stdin"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )
        self.running.append(vmm)
        timer = threading.Timer(RESTORE_MAX_S, vmm.kill)
        timer.start()
        report = None
        try:
            vmm.stdin.write(json.dumps(self.options(socket, number)) + "\n")
            vmm.stdin.flush()
            for line in vmm.stdout:
                said = json.loads(line)
                report = said["report"] if said.get("kind") == "report" else report
        except BrokenPipeError:
            pass  # its exit code says why
        exit_code = vmm.wait()
        hung = not timer.is_alive()
        timer.cancel()
        self.running.remove(vmm)
        return Restore(socket, begun, exit_code, report, hung)

    def end(self):
        for vmm in list(self.running):
            vmm.kill()


class PageServer:
    """`thaw restore` on the worker, ready to be connected to."""

    def __init__(self, network: Network, thaw: list, directory: Path, sessions: int = 0):
        self.socket = directory / "pages.sock"
        self.log = directory / "stderr"
        command = [*thaw, "restore", "guest", "--uffd", self.socket, "--sessions", sessions]
        command += ["--json", "--log-level", "info"]
        with open(self.log, "wb") as log:
            # pylint: disable=consider-using-with
            self.process = subprocess.Popen(
                network.command("worker", *command),
                stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
            )
        self.events: list[dict] = []
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                self.events.append(json.loads(line))
                self.changed.notify_all()
        with self.changed:
            self.events.append({"event": "end_of_output"})
            self.changed.notify_all()

    def named(self, event: str) -> list[dict]:
        with self.changed:
            return [e for e in self.events if e.get("event") == event]

    def wait_ready(self):
        def heard() -> bool:
            return any(e.get("event") in ("ready", "end_of_output") for e in self.events)

        with self.changed:
            self.changed.wait_for(heard, READY_MAX_S)
        if not self.named("ready"):
            raise FleetError(f"thaw restore did not get ready: {self.state()}")

    def wait_ended(self, sessions: int):
        """Until it has noticed that so many VMMs have gone, or has ended itself."""

        def heard() -> bool:
            names = [e.get("event") for e in self.events]
            return "end_of_output" in names or names.count("session_ended") >= sessions

        with self.changed:
            if not self.changed.wait_for(heard, RESTORE_MAX_S):
                raise FleetError(f"thaw restore does not notice that its VMMs ended: {self.state()}")

    def wait_logged(self, text: str):
        deadline = time.monotonic() + READY_MAX_S
        while text not in self.log.read_text():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise FleetError(f"thaw restore never said '{text}': {self.state()}")
            time.sleep(0.01)

    def wait(self) -> int:
        """Its exit code, once it has ended by itself."""
        try:
            code = self.process.wait(RESTORE_MAX_S)
        except subprocess.TimeoutExpired as error:
            raise FleetError(f"thaw restore does not end: {self.state()}") from error
        self.reader.join()
        return code

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def state(self) -> str:
        """Its exit code and what it said last, for a message."""
        code = self.process.poll()
        text = "it runs" if code is None else f"exit code {code}"
        said = self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return ", ".join([text, *(line.strip() for line in said)])


class Load:
    """Restores one after the other in each lane, `lanes` of them to a server, until end()."""

    def __init__(self, servers: list[PageServer], guest: Guest, lanes: int):
        self.guest = guest
        self.restores: list[Restore] = []
        self.begun = 0
        self.ending = False
        self.changed = threading.Condition()
        self.threads = [
            threading.Thread(target=self._run, args=(server,), daemon=True)
            for server in servers
            for _ in range(lanes)
        ]
        for thread in self.threads:
            thread.start()

    def _run(self, server: PageServer):
        while True:
            with self.changed:
                if self.ending:
                    return
                self.begun += 1
                number = self.begun
            restore = self.guest.resume(server.socket, number)
            with self.changed:
                self.restores.append(restore)
                # One that fails is told once, not as fast as it can fail.
                self.ending = self.ending or not restore.passed
                self.changed.notify_all()

    def wait_for(self, count: int, since: float = 0.0):
        """Until so many restores that began after `since` have ended, or one has failed."""

        def enough() -> bool:
            return self.ending or sum(r.begun >= since for r in self.restores) >= count

        with self.changed:
            if not self.changed.wait_for(enough, count * RESTORE_MAX_S):
                raise FleetError(f"{count} restores have not ended in {count * RESTORE_MAX_S:.0f} s")

    def end(self, abandon: bool = False) -> list[Restore]:
        """Waits for those under way, or kills them."""
        with self.changed:
            self.ending = True
        if abandon:
            self.guest.end()
        for thread in self.threads:
            thread.join()
        return self.restores
