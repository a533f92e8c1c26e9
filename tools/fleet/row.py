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
    tiers: dict = field(default_factory=dict)  # what thaw counted: tier, counter, sum over servers
    restore_ms: float | None = None
    note: str = ""
    broken: list[str] = field(default_factory=list)
    seconds: float = 0

    def promise(self, kept: bool, otherwise: str):
        if not kept:
            self.broken.append(otherwise)

    def add_tiers(self, tiers: dict):
        for tier in ("local", "zone", "origin"):
            sums = self.tiers.setdefault(tier, {})
            for name, count in tiers.get(tier, {}).items():
                if isinstance(count, int):
                    sums[name] = sums.get(name, 0) + count

    def tier(self, tier: str, counter: str) -> int:
        return self.tiers.get(tier, {}).get(counter, 0)

    def as_json(self) -> dict:
        return asdict(self)


class Watch:
    """What the servers counted from its making to read_into()."""

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


def judge_counters(row: Row):
    """What thaw counted agrees with itself and with what the servers counted."""
    missed = row.tier("zone", "misses") + row.tier("zone", "corrupt")
    read = row.tier("origin", "chunks")
    row.promise(read == missed, f"the zone missed {missed} chunks, the origin gave {read}")
    row.promise(row.origin_gets >= read, f"{read} chunks with {row.origin_gets} reads of the origin")
    damaged = row.tier("origin", "corrupt")
    row.promise(damaged == 0, f"{damaged} chunks from an honest origin counted as damaged")


def judge_server(row: Row, server: PageServer, exit_code: int):
    row.promise(
        exit_code == 0, f"thaw restore did not end as if all were well: {server.state()}"
    )
    for ended in server.named("session_ended"):
        row.chunks += ended["chunks"]
        came_up = ended["end"] in ("vmm_exited", "complete")
        row.promise(came_up, f"a session ended as {ended['end']}: {ended.get('message')}")
    counted = server.named("tiers")
    row.promise(len(counted) == 1, "thaw restore did not say what its tiers have done")
    for event in counted:
        row.add_tiers(event["tiers"])
