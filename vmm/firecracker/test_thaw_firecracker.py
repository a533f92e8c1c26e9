# SPDX-License-Identifier: Apache-2.0
"""Test of thaw-firecracker: what it asks of Firecracker's API, against a stand-in; and a guest that
is resumed by every way, against the real program.

Run it with python3 from anywhere. THAW_FIRECRACKER_GUESTS names a folder that `thaw lab trace --vmm
firecracker --guests` made with the function hello; without it, firecracker in PATH or a usable
/dev/kvm the real program's tests skip. Where KVM only emulates, a guest answers no call in any time:
its memory is compared, and that is all.
"""

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from thaw_firecracker import kernel  # noqa: E402
from thaw_firecracker.lab_vmm import Firecracker  # noqa: E402
from thaw_vmm import lab_guest  # noqa: E402
from thaw_vmm.failure import Failure  # noqa: E402
from thaw_vmm.measure import written_at_load  # noqa: E402
from thaw_vmm.page_server import PAGE, PageServer  # noqa: E402
from thaw_vmm.vmm import Resumption, hardware_virtualises, kvm_opens  # noqa: E402

MIB = 1 << 20
# Answers each request with 204, or with 400 if the resource is in REFUSED; writes them to requests.
# Of a snapshot that it loads it maps the memory, and changes there what it is told.
STAND_IN = """#!{python}
import json, mmap, os, socket, sys
log = open({requests!r}, "a")
print(json.dumps({{"ready": True}}), flush=True)
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[sys.argv.index("--api-sock") + 1])
listener.listen(1)
connection, _ = listener.accept()
stream = connection.makefile("rb")
while request := stream.readline():
    method, resource, _ = request.decode().split()
    size = 0
    while (header := stream.readline().decode().strip().lower()):
        if header.startswith("content-length:"):
            size = int(header.split(":")[1])
    body = json.loads(stream.read(size))
    print(json.dumps([method, resource, body]), file=log, flush=True)
    if resource in {refused!r}:
        said = json.dumps({{"fault_message": "no such luck"}}).encode()
        connection.sendall(b"HTTP/1.1 400 \\r\\nContent-Length: %d\\r\\n\\r\\n" % len(said) + said)
        continue
    if resource == "/snapshot/load":
        with open(body["mem_backend"]["backend_path"], "rb") as file:
            memory = mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE)
        for at in {changes!r}:
            memory[at] ^= 1
    connection.sendall(b"HTTP/1.1 204 \\r\\n\\r\\n")
"""


def thaw_firecracker(*arguments: object, path: str | None = None) -> tuple[int, list[dict], str]:
    """Exit status, results and stderr of one invocation."""
    done = subprocess.run(
        [sys.executable, str(HERE / "thaw-firecracker"), *map(str, arguments), "--json"],
        capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, **({} if path is None else {"PATH": path})},
    )  # fmt: skip
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def require_kvm() -> None:
    if not kvm_opens():
        raise unittest.SkipTest("SKIP: /dev/kvm cannot be used")


class FolderTest(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="thaw-firecracker-test-")
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)

    def refuse(self, *arguments: object, says: str, path: str | None = None) -> None:
        """The invocation fails, says why and what to do."""
        status, results, said = thaw_firecracker(*arguments, path=path)
        self.assertEqual(status, 1, said)
        self.assertIn(says, said)
        self.assertIn("to do: ", said)
        self.assertNotIn("Traceback", said)
        self.assertIn(says, results[-1]["error"])


class KernelTest(FolderTest):
    def bzimage(self, payload: bytes, size: int) -> Path:
        """A file of two sectors of setup, and then, 16 bytes into the rest, the payload."""
        payload += struct.pack("<I", size)
        head = bytearray(1024)
        head[0x1F1] = 1
        head[0x202:0x206] = b"HdrS"
        struct.pack_into("<II", head, 0x248, 16, len(payload))
        path = self.folder / "bzimage"
        path.write_bytes(bytes(head) + bytes(16) + payload)
        return path

    def packed(self, data: bytes) -> bytes:
        if shutil.which("lz4") is None:
            self.skipTest("SKIP: no lz4 (Debian package lz4)")
        return subprocess.run(["lz4", "-l", "-c"], input=data, capture_output=True, check=True).stdout

    def test_elf_is_what_was_packed(self) -> None:
        elf = b"\x7fELF" + os.urandom(100_000)
        kernel.write_elf(self.bzimage(self.packed(elf), len(elf)), self.folder / "elf")
        self.assertEqual((self.folder / "elf").read_bytes(), elf)

    def test_what_is_no_kernel(self) -> None:
        elf = b"\x7fELF" + bytes(1000)
        for payload, size, says in (
            (self.packed(elf), 7, "no ELF file of 7 bytes"),
            (self.packed(bytes(1000)), 1000, "no ELF file"),
            (b"\x1f\x8b gzip", 7, "not compressed with LZ4"),
        ):
            image = self.bzimage(payload, size)
            with self.assertRaisesRegex(Failure, says):
                kernel.write_elf(image, self.folder / "elf")
        image.write_bytes(b"no kernel")
        with self.assertRaisesRegex(Failure, "is no bzImage"):
            kernel.write_elf(image, self.folder / "elf")


class StandInTest(FolderTest):
    """A stand-in for the program: which requests it gets."""

    def setUp(self) -> None:
        super().setUp()
        require_kvm()
        self.memory = self.folder / "memory"
        self.memory.write_bytes(bytes(MIB))
        self.vmstate = self.folder / "vmstate"
        self.vmstate.write_bytes(b"state")
        before = os.environ["PATH"]
        self.addCleanup(os.environ.__setitem__, "PATH", before)
        os.environ["PATH"] = f"{self.folder}:{before}"

    def stand_in(self, refused: tuple[str, ...] = (), changes: tuple[int, ...] = ()) -> None:
        (self.folder / "firecracker").write_text(
            STAND_IN.format(
                python=sys.executable, requests=str(self.folder / "requests"), refused=refused,
                changes=changes,
            )
        )  # fmt: skip
        (self.folder / "firecracker").chmod(0o755)

    def requests(self) -> list[list]:
        return [json.loads(line) for line in (self.folder / "requests").read_text().splitlines()]

    def how(self, way: str = "file") -> Resumption:
        return Resumption(
            vmstate=self.vmstate, way=way, memory=self.memory, memory_mib=1,
            uffd_socket=self.folder / "pages.sock",
        )  # fmt: skip

    def test_resume(self) -> None:
        self.stand_in()
        held: list[int] = []
        with Firecracker().loaded(self.folder / "vm", self.how(), held.append) as resumed:
            self.assertEqual(held, [resumed.pid])
            self.assertEqual(len(self.requests()), 1)
            resumed.run()
            self.assertLess(resumed.started_ns, resumed.ready_ns)
            self.assertLessEqual(resumed.loaded_ns, resumed.running_ns)
            self.assertGreater(resumed.memory_base(), 0)
            with resumed.console(5) as console:
                self.assertTrue(console.wait_ready()["ready"])
        backend = {"backend_type": "File", "backend_path": str(self.memory)}
        load = {"snapshot_path": str(self.vmstate), "mem_backend": backend, "resume_vm": False}
        self.assertEqual(
            self.requests(),
            [["PUT", "/snapshot/load", load], ["PATCH", "/vm", {"state": "Resumed"}]],
        )
        self.assertFalse(Path(f"/proc/{held[0]}").exists())
        self.assertEqual(
            sorted(path.name for path in (self.folder / "vm").iterdir()),
            ["firecracker.errors", "firecracker.log"],
        )

    def test_load_over_a_page_server(self) -> None:
        self.stand_in(refused=("/snapshot/load",))
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(self.folder / "pages.sock"))
            with self.assertRaisesRegex(Failure, "refused PUT /snapshot/load: no such luck"):
                with Firecracker().loaded(self.folder / "vm", self.how("uffd"), lambda _: None):
                    self.fail("a load that was refused went on")
        [[_, _, load]] = self.requests()
        self.assertEqual(
            load["mem_backend"],
            {"backend_type": "Uffd", "backend_path": str(self.folder / "pages.sock")},
        )

    def test_program_that_ends_at_once(self) -> None:
        (self.folder / "firecracker").write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
        (self.folder / "firecracker").chmod(0o755)
        with self.assertRaisesRegex(Failure, "ended with status 3; it said last:\nbroken"):
            with Firecracker().loaded(self.folder / "vm", self.how(), lambda _: None):
                self.fail("it has no API")

    def test_folder_of_something_else(self) -> None:
        self.stand_in()
        with self.assertRaisesRegex(Failure, "is no VM's folder"):
            with Firecracker().loaded(self.folder, self.how(), lambda _: None):
                self.fail("it took a folder that is not its own")
        self.assertTrue(self.memory.exists())

    def written(self, *changes: int) -> list[int]:
        self.stand_in(changes=changes)
        return written_at_load(Firecracker(), self.folder / "vm", self.memory, self.vmstate, 1)

    def test_what_the_vmm_writes_itself(self) -> None:
        """A structure of its own devices, and KVM's clock; not more."""
        self.assertEqual(self.written(), [])
        clock = range(0x3000, 0x3020)
        self.assertEqual(self.written(0xDE00C, 0xDE068, 0xDFFF0, *clock), [3, 0xDE, 0xDF])
        for wrong, changes in (
            (3, (*clock, 0x3020)),  # more than a clock
            (5, (0x3000, 0x4000, 0x5000)),  # more clocks than there are
            (0xDE, (0xDE000, 0xDE0FF)),
        ):
            with self.assertRaisesRegex(Failure, f"wrong in 1 of 256 pages: {wrong}"):
                self.written(*changes)

    def test_page_that_it_does_not_write_is_compared_whole(self) -> None:
        """A guest says in which pages its VMM writes; one bit of any other is one too many."""
        self.stand_in(changes=(0x3000,))
        guest = self.keep(written=[])
        self.refuse(
            "measure", "--guest", guest, "--way", "file", "--verify",
            says="the guest's memory is wrong in 1 of 256 pages: 3",
        )  # fmt: skip
        guest = self.keep(written=[3])
        status, [result], said = thaw_firecracker(
            "measure", "--guest", guest, "--way", "file", "--verify"
        )
        self.assertEqual(status, 0, said)
        self.assertEqual((result["pages_compared"], result["written_by_vmm"]), (256, [3]))

    def keep(self, written: list[int], vmm: str = "firecracker") -> Path:
        image = self.folder / "image"
        image.mkdir(exist_ok=True)
        (image / "image.json").write_text('{"kernel_sha256": "k", "initramfs_sha256": "i"}')
        call = lab_guest.Call(seed=1, input="small", sha256="aa")
        with lab_guest.written(self.folder / "guests", "f") as folder:
            shutil.copy(self.memory, folder / "memory")
            shutil.copy(self.vmstate, folder / "vmstate")
            lab_guest.write_description(
                folder, vmm=vmm, function="f", memory_mib=1, boot_id="b", calls_made=1,
                calls={name: call for name in lab_guest.CALLS}, image=image, written_by_vmm=written,
            )  # fmt: skip
        return self.folder / "guests/f"

    def test_guest_of_another_vmm(self) -> None:
        self.stand_in()
        guest = self.keep(written=[], vmm="qemu")
        self.refuse(
            "measure", "--guest", guest, "--way", "file", "--verify",
            says="is a guest of qemu, whose device state firecracker cannot load",
        )  # fmt: skip


    def test_program_missing(self) -> None:
        self.refuse(
            "measure", "--guest", self.keep(written=[]), "--way", "file", "--verify",
            path=str(self.folder / "guests"), says="there is no program firecracker in PATH",
        )  # fmt: skip

    def test_processor_that_does_not_virtualise(self) -> None:
        self.stand_in()
        for virtualises in (False, True):
            with mock.patch("thaw_firecracker.lab_vmm.hardware_virtualises", lambda: virtualises):
                if virtualises:
                    Firecracker().check()
                else:
                    self.assertRaisesRegex(Failure, "no flag vmx or svm", Firecracker().check)


class WrongInputTest(FolderTest):
    def test_missing_parts(self) -> None:
        self.refuse(
            "traces", "--images", self.folder, "--output", self.folder / "traces", "--function",
            "hello", says="there is no guest image",
        )  # fmt: skip
        how = Resumption(vmstate=self.folder / "none", way="uffd", uffd_socket=self.folder / "none")
        with self.assertRaisesRegex(Failure, "is no Unix socket"):
            with Firecracker().loaded(self.folder / "vm", how, lambda _: None):
                self.fail("there is no page server")

    def test_wrong_usage(self) -> None:
        # Nobody can have all of its memory present.
        for arguments in ((), ("measure", "--guest", "g", "--way", "present", "--verify")):
            status, _, said = thaw_firecracker(*arguments)
            self.assertEqual(status, 2, arguments)
            self.assertIn("usage: thaw-firecracker", said)


class RealTest(FolderTest):
    """The real program."""

    def setUp(self) -> None:
        super().setUp()
        guests = os.environ.get("THAW_FIRECRACKER_GUESTS")
        if not guests:
            self.skipTest("SKIP: THAW_FIRECRACKER_GUESTS names no folder of guests")
        if shutil.which("firecracker") is None:
            self.skipTest("SKIP: no firecracker in PATH")
        require_kvm()
        self.guest = Path(guests) / "hello"
        self.pages = (self.guest / "memory").stat().st_size // PAGE

    def measure(self, way: str, *more: object) -> tuple[int, list[dict], str]:
        return thaw_firecracker("measure", "--guest", self.guest, "--way", way, *more)

    def serve(self, **how: bool) -> Path:
        path = self.folder / f"pages{len(list(self.folder.iterdir()))}.sock"
        server = PageServer(path, self.guest / "memory", **how)
        self.addCleanup(server.close)
        return path

    def test_all_memory_by_each_way(self) -> None:
        for way, more in (("file", ()), ("uffd", ("--uffd-socket", self.serve()))):
            status, results, said = self.measure(way, "--verify", *more)
            self.assertEqual(status, 0, said)
            self.assertEqual(results[0]["pages_compared"], self.pages)
            self.assertGreater(results[0]["data_pages"], 1000)

    def test_wrong_pages_are_noticed(self) -> None:
        """The canary: a page server that lies."""
        status, results, said = self.measure(
            "uffd", "--verify", "--uffd-socket", self.serve(lie=True)
        )
        self.assertEqual(status, 1, said)
        self.assertTrue(results[-1]["corrupt"])

    def test_ends_with_whoever_follows(self) -> None:
        """A guest whose page server is silent ends with its driver, however that ends."""
        for end in ("close", "terminate", "kill"):
            with subprocess.Popen(
                [sys.executable, str(HERE / "thaw-firecracker"), "measure", "--guest", self.guest,
                 "--way", "uffd", "--verify", "--uffd-socket", self.serve(mute=True),
                 "--follow-input", "--json"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            ) as verb:  # fmt: skip
                self.assertEqual(json.loads(verb.stdout.readline()), {"held": True})
                children = Path(f"/proc/{verb.pid}/task/{verb.pid}/children").read_text().split()
                self.assertEqual(len(children), 1)
                verb.stdin.write("\n")
                verb.stdin.flush()
                if end == "close":
                    verb.stdin.close()
                else:
                    getattr(verb, end)()
                status = verb.wait(20)
                self.assertNotIn("Traceback", verb.stderr.read())
            self.assertEqual(status, -9 if end == "kill" else 128 + signal.SIGTERM)
            while Path(f"/proc/{children[0]}/cmdline").exists():
                self.assertEqual(end, "kill")  # the others waited for it
                time.sleep(0.01)

    def test_call(self) -> None:
        if not hardware_virtualises():
            self.skipTest("SKIP: KVM only emulates here: a guest answers no call in any time")
        for way, more in (("file", ()), ("uffd", ("--uffd-socket", self.serve()))):
            status, results, said = self.measure(way, "--call", "measured", *more)
            self.assertEqual(status, 0, said)
            self.assertGreater(results[0]["loaded_call_ms"], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
