# SPDX-License-Identifier: Apache-2.0
"""The fleet of a run: the hosts, the snapshot in the origin, the worker's thaw, and what all of them have
counted."""

import json
import os
import random
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from hosts import CacheNode, Origin
from network import PREFIX, FleetError, Network, run_id
from restores import PAGE_BYTES, Guest, PageServer

NODES = 6
DATA_STRIPES, PARITY_STRIPES = 4, 1
VERB_MAX_S = 60.0
ZONE_UP_MAX_S = 30.0
RUN_PAGES_MAX = 160  # of the image: more than a chunk has


@dataclass(frozen=True)
class Options:
    build: Path
    memory_mib: int
    seed: int


@dataclass
class Outcome:
    """Of a verb that ended."""

    exit_code: int
    result: dict
    stderr: str


def write_image(path: Path, pages: int, seed: int):
    """Runs of zero pages and of pages that no two images share, half of each."""
    dice = random.Random(seed)
    with open(path, "wb") as image:
        while pages > 0:
            count = min(pages, dice.randint(1, RUN_PAGES_MAX))
            size = count * PAGE_BYTES
            image.write(dice.randbytes(size) if dice.random() < 0.5 else bytes(size))
            pages -= count


def write_with_one_byte_changed(image: Path, path: Path):
    shutil.copyfile(image, path)
    with open(path, "r+b") as copy:
        copy.seek(path.stat().st_size // 2)
        byte = copy.read(1)[0]
        copy.seek(-1, os.SEEK_CUR)
        copy.write(bytes([byte ^ 1]))


class Fleet:
    """make() first; remove() at the end, whatever happened."""

    @staticmethod
    def programs(build: Path) -> list[Path]:
        """thaw, the object store and the VMM."""
        testing = build / "src/thaw/testing"
        return [build / "thaw", testing / "thaw-fake-s3", build / "thaw-replay-vmm"]

    def __init__(self, options: Options):
        self.options = options
        self.thaw_program, self.s3_program, vmm = self.programs(options.build)
        names = [f"cache{i + 1}" for i in range(NODES)]
        self.network = Network(["worker", "origin", *names])
        self.directory = Path(tempfile.gettempdir()) / f"{PREFIX}{run_id()}"
        image = self.directory / "memory"
        self.guest = Guest(vmm, image, options.memory_mib * 2**20, options.seed)
        self.origin: Origin | None = None
        self.node_names = names
        self.nodes: list[CacheNode] = []
        self.servers: list[PageServer] = []
        self.directories_made = 0

    def make(self):
        """Hosts, keys, store and a snapshot named guest."""
        self.directory.mkdir(mode=0o700)
        self.network.make()
        self.origin = Origin(self.network, self.s3_program, self.options.seed)
        for name in self.node_names:
            self.nodes.append(CacheNode(self.network, name))
        write_image(self.guest.image, self.guest.image_bytes // PAGE_BYTES, self.options.seed)
        config = self.config()
        self.run("init", config=config)
        self.run("freeze", "guest", "--memory", self.guest.image, config=config)
        status = self.run("tier", "status", config=config)
        if not status["origin"]["usable"]:
            raise FleetError(f"thaw tier status says that the origin is not usable: {status['origin']}")
        self.wait_zone_up()

    def remove(self):
        """Ends every process, then the network, then the files."""
        self.guest.end()
        self.end_servers()
        for node in self.nodes:
            node.end()
        if self.origin:
            self.origin.end()
        self.network.remove()
        shutil.rmtree(self.directory, ignore_errors=True)

    def new_directory(self) -> Path:
        self.directories_made += 1
        made = self.directory / str(self.directories_made)
        made.mkdir()
        return made

    def config(self, nodes=None, local: Path | None = None, patience_ms: int = 20_000) -> Path:
        """A thaw.toml. `patience_ms`: how long an origin that does not answer is waited for."""
        path = self.new_directory() / "thaw.toml"
        self.write_config(path, nodes or self.nodes, local, patience_ms)
        return path

    def write_config(self, path: Path, nodes: list[CacheNode], local=None, patience_ms=20_000):
        # No memory tier: every restore shows what disk, zone and origin can do.
        addresses = ", ".join(f'"{node.address}"' for node in nodes)
        text = f"""
store = "s3://fleet/snapshots"
keyring = "{self.directory / 'keys'}"
[restore]
memory_tier_bytes = 0
fetch_timeout_ms = {patience_ms}
[s3]
endpoint = "{self.origin.endpoint}"
access_key_id = "{Origin.KEYS[0]}"
secret_access_key = "{Origin.KEYS[1]}"
request_deadline_ms = {patience_ms}
connect_timeout_ms = {min(3000, patience_ms)}
[zone]
nodes = [{addresses}]
data_stripes = {DATA_STRIPES}
parity_stripes = {PARITY_STRIPES}
get_timeout_ms = 1000
"""
        if local:
            text += f'[local]\npath = "{local}"\nsize = "128MiB"\n'
        # Whoever reads it meanwhile gets one or the other.
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(text)
        fresh.rename(path)

    def try_run(self, *arguments, config: Path) -> Outcome:
        """A verb of thaw on the worker, to its end."""
        command = [self.thaw_program, *arguments, "--config", config, "--json"]
        try:
            done = subprocess.run(
                self.network.command("worker", *command),
                capture_output=True, text=True, check=False, timeout=VERB_MAX_S,
            )
        except subprocess.TimeoutExpired as error:
            raise FleetError(f"thaw {arguments[0]} has not ended in {VERB_MAX_S:.0f} s") from error
        lines = done.stdout.splitlines()
        return Outcome(done.returncode, json.loads(lines[-1]) if lines else {}, done.stderr.strip())

    def run(self, *arguments, config: Path) -> dict:
        outcome = self.try_run(*arguments, config=config)
        if outcome.exit_code != 0:
            raise FleetError(f"thaw {arguments[0]} failed: {outcome.stderr or outcome.result}")
        return outcome.result

    def serve(self, config: Path, sessions: int = 0) -> PageServer:
        thaw = [self.thaw_program, "--config", config]
        server = PageServer(self.network, thaw, self.new_directory(), sessions)
        self.servers.append(server)
        server.wait_ready()
        return server

    def end_servers(self):
        for server in self.servers:
            server.end()
        self.servers.clear()

    def wait_zone_up(self, config: Path | None = None):
        config = config or self.config()
        deadline = time.monotonic() + ZONE_UP_MAX_S
        while True:
            zone = self.run("tier", "status", config=config)["zone"]
            if zone["nodes_up"] == len(zone["nodes"]):
                return
            if time.monotonic() > deadline:
                raise FleetError(f"the zone does not come up: {zone}")

    def warm_zone(self, nodes=None) -> dict:
        """Every chunk is in the zone with all its stripes afterwards: it is emptied and filled, because
        warming alone leaves a chunk as it is that can still be read."""
        for node in self.nodes:
            node.kill()
            node.start()
        config = self.config(nodes)
        self.wait_zone_up(config)
        return self.warm(config)

    def warm(self, config: Path) -> dict:
        return self.run("warm", "guest", "--zone", config=config)["warmed"][0]

    def node_counters(self) -> dict[str, dict[str, int]]:
        return {node.name: node.counters() for node in self.nodes}
