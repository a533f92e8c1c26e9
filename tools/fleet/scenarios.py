# SPDX-License-Identifier: Apache-2.0
"""What happens to the fleet, and what thaw promises meanwhile. A scenario begins with a warm zone, disturbs
it while VMMs resume without a pause, and ends with a row of figures. Each also proves that it disturbed
what it meant to: a promise that nothing tested counts as broken."""

import contextlib
import random
import signal
import threading
import time
from pathlib import Path

from fleet import DATA_STRIPES, PARITY_STRIPES, Fleet, write_with_one_byte_changed
from network import FleetError
from restores import Guest, Load
from row import Row, Watch, judge_counters, judge_restores, judge_server

SERVERS = 2
LANES = 2  # VMMs at once, a server
RESTORES_BEFORE = 2  # the disturbance
RESTORES_DURING = 4  # and once more where something must have healed
# While the zone has enough stripes of every chunk the origin is spared. Not down to the last chunk: on a
# machine that is busy a get may run into its timeout.
SPARED_SHARE = 0.15
SLOW_MBIT = 4
BURST_S = (0.02, 0.12)
IMPATIENT_MS = 2000
KILLED_BY = (-signal.SIGKILL, -signal.SIGBUS)  # of a poisoned page, if it is read before the end


class Disturbed:
    """Restores that go on while a scenario disturbs the fleet."""

    def __init__(self, fleet: Fleet, config: Path):
        self.servers = [fleet.serve(config) for _ in range(SERVERS)]
        self.watch = Watch(fleet)
        self.load = Load(self.servers, fleet.guest, LANES)

    def more(self):
        """Until some that began from now on have ended."""
        self.load.wait_for(RESTORES_DURING, since=time.monotonic())

    def more_after_healing(self) -> int:
        """The same once more; how often the origin was read in the second part."""
        self.more()
        before = self.watch.origin_gets()
        self.more()
        return self.watch.origin_gets() - before


class Scenarios:
    def __init__(self, fleet: Fleet):
        self.fleet = fleet
        self.dice = random.Random(fleet.options.seed)
        self.snapshot_chunks = 0

    def all(self) -> dict:
        """By name, in their order."""
        return {
            "canary: another image": self.canary,
            "none": self.none,
            "one node cut": self.one_cut,
            "one node killed": self.one_killed,
            "two nodes killed": self.two_killed,
            "zone cut": self.zone_cut,
            "one node slow": self.one_slow,
            "one node stopped": self.one_stopped,
            "nodes stutter": self.stutter,
            "one node full": self.one_full,
            "one node lies": self.one_lies,
            "all nodes restarted": self.restarted,
            "nodes changed": self.nodes_changed,
            "origin cut, zone warm": self.origin_cut,
            "disk cache alone": self.disk_cache_alone,
            "origin cut, zone empty": self.nothing_left,
        }

    def run(self, name: str) -> Row:
        row = Row(name)
        begin = time.monotonic()
        try:
            self.all()[name](row)
        except FleetError as error:
            row.broken.append(str(error))
        self.fleet.end_servers()
        row.seconds = time.monotonic() - begin
        return row

    # The parts of scenarios.

    def some_nodes(self, count: int):
        return self.dice.sample(self.fleet.nodes, count)

    @contextlib.contextmanager
    def load(self, row: Row, config: Path | None = None):
        """Restores go on inside, and are judged after."""
        during = Disturbed(self.fleet, config or self.fleet.config())
        try:
            during.load.wait_for(RESTORES_BEFORE)
            yield during
        except BaseException:
            during.load.end(abandon=True)
            raise
        restores = during.load.end()
        judge_restores(row, restores, self.fleet.guest)
        for server in during.servers:
            server.wait_ended(sum(r.socket == server.socket for r in restores))
            judge_server(row, server, server.stop())
        during.watch.read_into(row)
        judge_counters(row)
        violations = self.fleet.origin.report()["violations"]
        row.promise(not violations, f"the S3 requests break rules: {violations}")

    def judge_spared(self, row: Row):
        row.promise(
            row.origin_gets <= row.chunks * SPARED_SHARE,
            f"{row.origin_gets} reads of the origin for {row.chunks} chunks, though the zone has them",
        )

    def judge_healed(self, row: Row, gets_after: int):
        row.promise(
            gets_after <= RESTORES_DURING * self.snapshot_chunks * SPARED_SHARE,
            f"{gets_after} reads of the origin after the zone should have been filled again",
        )

    def warm(self, row: Row, nodes=None):
        warmed = self.fleet.warm_zone(nodes)
        self.snapshot_chunks = warmed["chunks"]
        row.promise(warmed["not_kept"] == 0, f"{warmed['not_kept']} chunks were not kept by the zone")

    # The scenarios.

    def canary(self, row: Row):
        """A VMM that expects one byte differently must say so, or nothing here proves anything."""
        self.warm(row)
        other = self.fleet.directory / "memory-other"
        write_with_one_byte_changed(self.fleet.guest.image, other)
        guest = Guest(self.fleet.guest.program, other, self.fleet.guest.image_bytes)
        server = self.fleet.serve(self.fleet.config(), sessions=1)
        restore = guest.resume(server.socket, 1)
        server.wait()
        row.restores = 1
        found = restore.report["mismatch_count"] if restore.report else 0
        row.promise(restore.exit_code == 1 and found >= 1, "a wrong byte was not noticed")
        row.note = "found it" if found else "missed it"

    def none(self, row: Row):
        self.warm(row)
        again = self.fleet.warm(self.fleet.config())
        row.promise(again["from_origin"] == 0, f"a warm zone was filled again: {again}")
        with self.load(row) as during:
            during.more()
        self.judge_spared(row)
        row.promise(row.stripes_hit >= DATA_STRIPES * row.chunks / LANES, "the zone served little")

    def one_cut(self, row: Row):
        self.warm(row)
        (node,) = self.some_nodes(1)
        try:
            with self.load(row) as during:
                self.fleet.network.cut(node.name)
                during.more()
                # What it was sent before is answered by now.
                before = during.watch.of_node(node.name, "cmd_get")
                during.more()
                asked = during.watch.of_node(node.name, "cmd_get") - before
                row.promise(asked == 0, f"{node.name} was cut and answered {asked} gets")
        finally:
            self.fleet.network.join(node.name)
        self.judge_spared(row)

    def one_killed(self, row: Row):
        self.warm(row)
        with self.load(row) as during:
            for node in self.some_nodes(1):
                node.kill()
            during.more()
        zone = self.fleet.run("tier", "status", config=self.fleet.config())["zone"]
        told = zone["usable"] and zone["nodes_up"] == len(self.fleet.nodes) - 1
        row.promise(told, f"thaw tier status does not know of one dead node: {zone}")
        self.judge_spared(row)

    def two_killed(self, row: Row):
        """More than the parity can stand in for: slower, not broken."""
        self.warm(row)
        with self.load(row) as during:
            for node in self.some_nodes(PARITY_STRIPES + 1):
                node.kill()
            during.more()
        row.promise(row.origin_gets > 0, "two nodes are gone and the origin was not read")

    def zone_cut(self, row: Row):
        self.warm(row)
        try:
            with self.load(row) as during:
                for name in self.fleet.node_names:
                    self.fleet.network.cut(name)
                during.more()
        finally:
            for name in self.fleet.node_names:
                self.fleet.network.join(name)
        row.promise(row.origin_gets > 0, "the zone is gone and the origin was not read")

    def one_slow(self, row: Row):
        self.warm(row)
        (node,) = self.some_nodes(1)
        with self.load(row) as during:
            self.fleet.network.slow(node.name, SLOW_MBIT)
            try:
                during.more()
            finally:
                delayed = self.fleet.network.unslow(node.name)
        row.promise(delayed > 0, f"nothing that {node.name} sent had to wait")
        row.note = f"{delayed} packets waited"
        self.judge_spared(row)

    def one_stopped(self, row: Row):
        """Its kernel takes connections and requests; no answer comes."""
        self.warm(row)
        (node,) = self.some_nodes(1)
        with self.load(row) as during:
            node.stop()
            try:
                during.more()
                row.promise(node.is_stopped(), f"{node.name} did not stay stopped")
            finally:
                node.go_on()
        self.judge_spared(row)

    def stutter(self, row: Row):
        """One node after the other stops for a moment."""
        self.warm(row)
        ended = threading.Event()
        dice = random.Random(self.fleet.options.seed)
        stops = 0

        def disturb():
            nonlocal stops
            while not ended.is_set():
                node = dice.choice(self.fleet.nodes)
                node.stop()
                ended.wait(dice.uniform(*BURST_S))
                stops += node.is_stopped()
                node.go_on()
                ended.wait(dice.uniform(*BURST_S))

        with self.load(row) as during:
            thread = threading.Thread(target=disturb)
            thread.start()
            try:
                during.more()
            finally:
                ended.set()
                thread.join()
        row.note = f"{stops} stops"
        row.promise(stops > 1, "the nodes hardly stopped")

    def one_full(self, row: Row):
        self.warm(row)
        (node,) = self.some_nodes(1)
        with self.load(row) as during:
            evicted = node.fill()
            during.more()
        row.note = f"{evicted} items evicted"
        row.promise(evicted > 0, f"{node.name} took everything and evicted nothing")
        row.promise(row.stripes_hit < row.stripes_asked, f"{node.name} is full and misses nothing")
        self.judge_spared(row)

    def one_lies(self, row: Row):
        """It answers as before, with one bit of each value changed."""
        self.warm(row)
        (node,) = self.some_nodes(1)
        with self.load(row) as during:
            changed = node.corrupt()
            during.more()
            dropped = during.watch.of_node(node.name, "delete_hits")
        row.note = f"{changed} stripes changed, {dropped} dropped"
        row.promise(dropped > 0, f"{node.name} lies and thaw did not drop a stripe")
        row.promise(row.tier("zone", "stripes_corrupt") > 0, f"{node.name} lies and nothing counted it")
        self.judge_spared(row)

    def restarted(self, row: Row):
        """The zone forgets everything under load, and is filled again by those who miss it."""
        self.warm(row)
        with self.load(row) as during:
            for node in self.fleet.nodes:
                node.kill()
                node.start()
            gets_after = during.more_after_healing()
        row.promise(row.origin_gets > gets_after, "the zone was emptied and the origin was not read")
        self.judge_healed(row, gets_after)
        again = self.fleet.warm(self.fleet.config())
        row.promise(again["from_zone"] > 0, "restores did not fill the zone again")
        row.note = f"{again['from_zone']} of {again['chunks']} chunks back"

    def nodes_changed(self, row: Row):
        """One node is taken out of thaw.toml and another put in: SIGHUP."""
        gone, *kept, fresh = self.some_nodes(len(self.fleet.nodes))
        self.warm(row, nodes=[gone, *kept])
        config = self.fleet.config([gone, *kept])
        with self.load(row, config) as during:
            row.promise(during.watch.of_node(fresh.name, "cmd_get") == 0, "an unknown node was asked")
            self.fleet.write_config(config, [*kept, fresh])
            for server in during.servers:
                server.reload()
                server.wait_logged(f"reloaded: the zone has {len(kept) + 1} nodes")
            asked = -during.watch.of_node(gone.name, "cmd_get")
            gets_after = during.more_after_healing()
            asked += during.watch.of_node(gone.name, "cmd_get")
            row.promise(during.watch.of_node(fresh.name, "cmd_get") > 0, f"{fresh.name} was not asked")
        # Requests under way at the change may still arrive.
        row.promise(asked <= 2 * SERVERS * LANES, f"{gone.name} was taken out and asked {asked} times")
        self.judge_healed(row, gets_after)

    def origin_cut(self, row: Row):
        """What the zone has resumes. Who starts now cannot know what the name means, and says so."""
        self.warm(row)
        try:
            with self.load(row) as during:
                self.fleet.network.cut("origin")
                during.more()
                row.promise(during.watch.origin_gets() == 0, "an origin that is cut was read")
                self.judge_refusal(row)
        finally:
            self.fleet.network.join("origin")

    def judge_refusal(self, row: Row):
        config = self.fleet.config(patience_ms=IMPATIENT_MS)
        socket = config.with_name("pages.sock")
        late = self.fleet.try_run("restore", "guest", "--uffd", socket, config=config)
        said = late.stderr + str(late.result)
        row.promise(late.exit_code == 1, f"thaw restore without an origin: exit code {late.exit_code}")
        row.promise("guest" in said and "s3://" in said, f"what failed is not said: {said}")

    def disk_cache_alone(self, row: Row):
        """The first restore fills the worker's disk; the second has nothing else."""
        self.warm(row)
        config = self.fleet.config(local=self.fleet.directory / "disk-cache")
        hosts = ["origin", *self.fleet.node_names]
        restores = []

        def restore(server):
            restores.append(self.fleet.guest.resume(server.socket, len(restores)))
            judge_server(row, server, server.wait())

        restore(self.fleet.serve(config, sessions=1))
        server = self.fleet.serve(config, sessions=1)
        watch = Watch(self.fleet)
        try:
            for host in hosts:
                self.fleet.network.cut(host)
            restore(server)
        finally:
            for host in hosts:
                self.fleet.network.join(host)
        judge_restores(row, restores, self.fleet.guest)
        watch.read_into(row)
        row.promise(row.origin_gets == 0, "an origin that is cut was read")
        row.promise(row.stripes_asked == 0, "nodes that are cut were read")
        row.promise(row.tier("local", "hits") == self.snapshot_chunks, "the disk did not serve it all")

    def nothing_left(self, row: Row):
        """No tier has the page: the VMM must not live to read a wrong one, and thaw says why."""
        for node in self.fleet.nodes:
            node.kill()
            node.start()
        server = self.fleet.serve(self.fleet.config(patience_ms=IMPATIENT_MS), sessions=1)
        watch = Watch(self.fleet)
        self.fleet.network.cut("origin")
        try:
            restore = self.fleet.guest.resume(server.socket, 1)
            exit_code = server.wait()
        finally:
            self.fleet.network.join("origin")
        row.restores = 1
        row.wrong_pages = restore.report["mismatch_count"] if restore.report else 0
        row.promise(row.wrong_pages == 0, "the VMM read wrong bytes")
        row.promise(
            restore.exit_code in KILLED_BY and not restore.hung,
            f"the VMM was not ended: exit code {restore.exit_code}",
        )
        row.promise(exit_code not in (0, -signal.SIGKILL), "thaw restore ended as if all were well")
        ended = [e["end"] for e in server.named("session_ended")]
        row.promise(ended == ["failed"], f"the session ended as {ended}")
        log = server.log.read_text()
        row.promise("was ended" in log and "page" in log, f"what failed is not said: {log}")
        watch.read_into(row)
        row.promise(row.origin_gets == 0, "an origin that is cut was read")
        row.note = f"VMM ended by signal {-restore.exit_code}, thaw by exit code {exit_code}"


def run_all(fleet: Fleet, only: str, say) -> list[Row]:
    scenarios = Scenarios(fleet)
    names = [name for name in scenarios.all() if only in name]
    if not names:
        raise FleetError(f"no scenario has '{only}' in its name: {', '.join(scenarios.all())}")
    rows = []
    for name in names:
        rows.append(scenarios.run(name))
        say(rows[-1])
    return rows
