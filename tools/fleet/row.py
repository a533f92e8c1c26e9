# SPDX-License-Identifier: Apache-2.0
"""A scenario's row: what was restored, what was counted meanwhile, and which promises were broken."""

import statistics
from dataclasses import asdict, dataclass, field

from fleet import Fleet
from restores import PAGE_BYTES, Guest, PageServer, Restore


@dataclass
class Row:
    """A scenario's figures; `broken` has the promises that were not kept."""

    scenario: str
    restores: int = 0
    bytes_compared: int = 0
    wrong_pages: int = 0
    chunks: int = 0  # that sessions waited for
    origin_gets: int = 0
    stripes_asked: int = 0
    stripes_hit: int = 0
    zone: dict | None = None  # what thaw counted, if it tells
    restore_ms: float | None = None
    note: str = ""
    broken: list[str] = field(default_factory=list)
    seconds: float = 0

    def promise(self, kept: bool, otherwise: str):
        if not kept:
            self.broken.append(otherwise)

    def as_json(self) -> dict:
        return asdict(self)


class Watch:
    """What was counted from its making to read()."""

    def __init__(self, fleet: Fleet):
        self.fleet = fleet
        self.gets = fleet.origin.gets()
        self.nodes = fleet.node_counters()

    def origin_gets(self) -> int:
        return self.fleet.origin.gets() - self.gets

    def of_node(self, name: str, counter: str) -> int:
        node = next(n for n in self.fleet.nodes if n.name == name)
        return node.counters()[counter] - self.nodes[name][counter]

    def read_into(self, row: Row):
        row.origin_gets = self.origin_gets()
        row.stripes_asked = sum(self.of_node(n.name, "cmd_get") for n in self.fleet.nodes)
        row.stripes_hit = sum(self.of_node(n.name, "get_hits") for n in self.fleet.nodes)


def judge_restores(row: Row, restores: list[Restore], guest: Guest):
    """Every VMM came up, and found every byte as it was frozen or as it wrote it itself."""
    row.restores += len(restores)
    times = []
    for restore in restores:
        if restore.hung:
            row.promise(False, "a restore hung")
        elif not restore.passed:
            row.promise(False, f"a VMM ended with exit code {restore.exit_code}")
        if restore.report:
            row.bytes_compared += restore.report["pages_checked"] * PAGE_BYTES
            row.wrong_pages += restore.report["mismatch_count"]
            for mismatch in restore.report["mismatches"][:1]:
                row.promise(False, f"a wrong byte: {mismatch}")
            times.append(restore.report["from_handshake_ns"] / 1e6)
            checked = restore.report["pages_checked"] * PAGE_BYTES
            row.promise(checked >= guest.image_bytes, "a VMM did not compare its whole memory")
    row.promise(row.wrong_pages == 0, f"{row.wrong_pages} pages had wrong bytes")
    row.promise(bool(restores), "nothing was restored")
    row.restore_ms = statistics.median(times) if times else None


def judge_server(row: Row, server: PageServer, exit_code: int):
    row.promise(
        exit_code == 0, f"thaw restore did not end as if all were well: {server.state()}"
    )
    for ended in server.named("session_ended"):
        row.chunks += ended["chunks"]
        came_up = ended["end"] in ("vmm_exited", "complete")
        row.promise(came_up, f"a session ended as {ended['end']}: {ended.get('message')}")
    for tiers in server.named("tiers"):
        row.zone = row.zone or {}
        for name, count in tiers["zone"].items():
            row.zone[name] = row.zone.get(name, 0) + count
