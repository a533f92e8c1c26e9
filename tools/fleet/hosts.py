# SPDX-License-Identifier: Apache-2.0
"""What runs on the hosts beside thaw: the origin's object store and the zone's cache nodes."""

import json
import os
import signal
import subprocess
import time
import urllib.parse
from pathlib import Path

from network import FleetError, Network

START_MAX_S = 20.0
POLL_S = 0.01
NODE_PORT = 11211
NODE_MEMORY_MIB = 24  # several times the stripes of the snapshot
FILL_SIZES = [1000, 4000, 16_000, 40_000, 70_000, 100_000, 131_200]  # of stripes of all lengths


class Origin:
    """thaw-fake-s3: it checks every signature and counts every request."""

    KEYS = ("fleet-access", "fleet-secret")

    def __init__(self, network: Network, program: Path, seed: int):
        access, secret = self.KEYS
        command = [program, "--bind", network.addresses["origin"], "--bucket", "fleet"]
        command += ["--access-key", access, "--secret-key", secret]
        command += ["--shape", "origin", "--seed", seed]
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(
            network.command("origin", *command),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )
        self.endpoint = self.read_line()["endpoint"]

    def read_line(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise FleetError("thaw-fake-s3 ended")
        return json.loads(line)

    def report(self) -> dict:
        self.process.stdin.write('{"report": true}\n')
        self.process.stdin.flush()
        return self.read_line()

    def gets(self) -> int:
        return self.report()["requests"]["get"]

    def end(self):
        self.process.kill()
        self.process.wait()


class CacheNode:
    """A stock memcached. Its counters go on where they were when it is started anew."""

    COUNTERS = ("cmd_get", "get_hits", "delete_hits")

    def __init__(self, network: Network, name: str):
        self.network = network
        self.name = name
        self.process = None
        self.past = dict.fromkeys(self.COUNTERS, 0)
        self.start()

    @property
    def address(self) -> str:
        return f"{self.network.addresses[self.name]}:{NODE_PORT}"

    @property
    def running(self) -> bool:
        return self.process is not None

    def start(self):
        # As another user it would outlive the run: a change of the user cancels the death signal.
        command = ["memcached", "-u", "root", "-l", self.network.addresses[self.name]]
        command += ["-p", NODE_PORT, "-U", 0, "-t", 1, "-m", NODE_MEMORY_MIB]
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(
            self.network.command(self.name, *command), start_new_session=True
        )
        deadline = time.monotonic() + START_MAX_S
        while True:
            try:
                self.network.connect(self.name, NODE_PORT).close()
                return
            except OSError as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise FleetError(f"memcached of {self.name} does not answer: {error}") from error
            time.sleep(POLL_S)

    def kill(self):
        """SIGKILL: its connections are reset, its stripes are gone."""
        if not self.running:
            return
        self.past = self.counters()
        self.end()

    def end(self):
        if self.running:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def is_stopped(self) -> bool:
        return Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"

    def go_on(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def stats(self) -> dict[str, str]:
        with self.network.connect(self.name, NODE_PORT) as connection:
            connection.sendall(b"stats\r\n")
            text = b""
            while not text.endswith(b"END\r\n"):
                part = connection.recv(65536)
                if not part:
                    raise FleetError(f"memcached of {self.name} closed while it told its counters")
                text += part
        return dict(line.split()[1:3] for line in text.decode().splitlines()[:-1])

    def counters(self) -> dict[str, int]:
        """Since the node's first start."""
        if not self.running:
            return self.past
        now = self.stats()
        return {name: self.past[name] + int(now[name]) for name in self.COUNTERS}

    def fill(self) -> int:
        """Writes other data until the stripes have to go; how many items went."""
        before = int(self.stats()["evictions"])
        with self.network.connect(self.name, NODE_PORT) as connection:
            for number in range(3 * NODE_MEMORY_MIB * 2**20 // sum(FILL_SIZES)):
                for size in FILL_SIZES:
                    head = f"set other-{number}-{size} 0 0 {size} noreply\r\n".encode()
                    connection.sendall(head + bytes(size) + b"\r\n")
        return int(self.stats()["evictions"]) - before

    def corrupt(self) -> int:
        """Changes one bit of every value; of how many."""
        with self.network.connect(self.name, NODE_PORT) as connection:
            answers = connection.makefile("rb")
            connection.sendall(b"lru_crawler metadump all\r\n")
            keys = []
            while (line := answers.readline()) != b"END\r\n":
                if not line.startswith(b"key="):
                    raise FleetError(f"memcached of {self.name} does not list its keys: {line!r}")
                keys.append(urllib.parse.unquote_to_bytes(line.split()[0].removeprefix(b"key=")))
            for number, key in enumerate(keys):
                connection.sendall(b"get " + key + b"\r\n")
                size = int(answers.readline().split()[3])
                value = bytearray(answers.read(size + len(b"\r\nEND\r\n"))[:size])
                value[number * 7919 % size] ^= 1 << number % 8  # header and stripe, all bits
                connection.sendall(b"set %b 0 0 %d\r\n%b\r\n" % (key, size, value))
                if (answer := answers.readline()) != b"STORED\r\n":
                    raise FleetError(f"memcached of {self.name} does not store: {answer!r}")
            return len(keys)
