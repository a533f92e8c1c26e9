# SPDX-License-Identifier: Apache-2.0
"""The network of a run: every host a network namespace of its own, all on one bridge, and the bridge in
a namespace too, so that the machine's own network is not touched and nothing survives the namespaces.

Names carry the run's process id and its start time: whoever comes later knows which runs are dead and
removes what they left."""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

PREFIX = "thaw-fleet-"
SUBNET = "10.77.0"
CONNECT_TIMEOUT_S = 5.0
CLONE_NEWNET = 0x40000000  # <sched.h>


class FleetError(Exception):
    """What failed and why. The run cannot go on; a broken promise is no FleetError."""


def output_of(*command) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise FleetError(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def ip(*arguments) -> str:
    return output_of("ip", *arguments)


def tc(*arguments) -> str:
    return output_of("tc", *arguments)


def why_not() -> str:
    """Why this machine cannot make the network; empty if it can."""
    for program in ("ip", "tc", "memcached", "setpriv"):
        if shutil.which(program) is None:
            return f"there is no program {program}"
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"{PREFIX}{run_id()}-probe"
    try:
        ip("netns", "add", name)
        try:
            ip("-n", name, "link", "add", "name", "hub", "type", "bridge")
            ip("-n", name, "link", "add", "name", "one", "type", "veth")
            tc("-n", name, "qdisc", "add", "dev", "one", *tbf(8))
        finally:
            ip("netns", "delete", name)
    except FleetError as error:
        return str(error)
    return ""


def tbf(rate_mbit: int) -> list:
    """A token bucket that lets single packets pass and queues up to a second."""
    return ["root", "tbf", "rate", f"{rate_mbit}mbit", "burst", "32kb", "latency", "1s"]


def start_time(pid: int) -> str | None:
    """Of a process, in clock ticks since boot (proc(5), field 22); None if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except OSError:
        return None


def run_id() -> str:
    return f"{os.getpid()}-{start_time(os.getpid())}"


def is_leftover(name: str) -> bool:
    """Whether a namespace or directory belongs to a run that has ended."""
    parts = name.removeprefix(PREFIX).split("-")
    if not name.startswith(PREFIX) or len(parts) < 2 or not parts[0].isdigit():
        return False
    return start_time(int(parts[0])) != parts[1]


def remove_namespace(name: str):
    """Ends what still runs in it: whoever was started there is the run's."""
    for pid in ip("netns", "pids", name).split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            pass
    ip("netns", "delete", name)


def remove_leftovers() -> int:
    """What runs left that were killed; how many things that were."""
    found = 0
    for line in ip("netns", "list").splitlines():
        name = line.split()[0]
        if is_leftover(name):
            remove_namespace(name)
            found += 1
    for directory in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if is_leftover(directory.name):
            shutil.rmtree(directory, ignore_errors=True)
            found += 1
    return found


class Network:
    """Hosts by name. remove() may be called at any time and again."""

    def __init__(self, hosts: list[str]):
        self.addresses = {host: f"{SUBNET}.{10 + i}" for i, host in enumerate(hosts)}
        self.made: list[str] = []

    def namespace(self, host: str) -> str:
        return f"{PREFIX}{run_id()}-{host}"

    def make(self):
        for host in ("hub", *self.addresses):
            ip("netns", "add", self.namespace(host))
            self.made.append(host)
            ip("-n", self.namespace(host), "link", "set", "lo", "up")
        hub = self.namespace("hub")
        ip("-n", hub, "link", "add", "name", "hub", "type", "bridge")
        ip("-n", hub, "link", "set", "hub", "up")
        for host, address in self.addresses.items():
            there = self.namespace(host)
            peer = ("peer", "name", "uplink", "netns", there)
            ip("-n", hub, "link", "add", "name", host, "type", "veth", *peer)
            ip("-n", hub, "link", "set", host, "master", "hub", "up")
            ip("-n", there, "address", "add", f"{address}/24", "dev", "uplink")
            ip("-n", there, "link", "set", "uplink", "up")

    def remove(self):
        while self.made:
            remove_namespace(self.namespace(self.made[-1]))
            self.made.pop()

    def command(self, host: str, *command) -> list[str]:
        """That command inside the host. It dies with the thread that starts it."""
        wrapped = ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", self.namespace(host)]
        return wrapped + [str(c) for c in command]

    def cut(self, host: str):
        """Pulls the cable: packets vanish, no connection is told."""
        ip("-n", self.namespace("hub"), "link", "set", host, "down")

    def join(self, host: str):
        ip("-n", self.namespace("hub"), "link", "set", host, "up")

    def slow(self, host: str, rate_mbit: int):
        """What the host sends passes at that rate only."""
        tc("-n", self.namespace(host), "qdisc", "add", "dev", "uplink", *tbf(rate_mbit))

    def unslow(self, host: str) -> int:
        """How many packets had to wait."""
        there = ("-n", self.namespace(host))
        counted = tc("-s", *there, "qdisc", "show", "dev", "uplink").split()
        tc(*there, "qdisc", "delete", "dev", "uplink", "root")
        return int(counted[counted.index("overlimits") + 1]) if "overlimits" in counted else 0

    def connect(self, host: str, port: int) -> socket.socket:
        """A connection inside the host to itself, which a cut does not touch. OSError."""
        made: list = []

        def enter():
            # A namespace belongs to a thread: this one enters and never comes back.
            libc = ctypes.CDLL(None, use_errno=True)
            try:
                with open(f"/run/netns/{self.namespace(host)}", "rb") as namespace:
                    if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), f"cannot enter {host}")
                address = (self.addresses[host], port)
                made.append(socket.create_connection(address, CONNECT_TIMEOUT_S))
            except OSError as error:
                made.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if isinstance(made[0], OSError):
            raise made[0]
        return made[0]
