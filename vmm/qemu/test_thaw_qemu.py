# SPDX-License-Identifier: Apache-2.0
"""End-to-end test of thaw-qemu: a guest boots, is snapshot warm, and resumes by every way; wrong
input fails clearly.

Run it with python3 from anywhere. Environment, all optional: THAW_QEMU_IMAGE, a folder made by
`thaw-qemu image`, spares the build, and THAW_QEMU_FULL_IMAGE, made by `thaw-qemu image --with
node,numpy,pil`, that of the image with all extras; THAW_PRELOAD_LIBRARY, a built
libthaw_uffd_preload.so, spares the compiler. THAW_PROGRAM, a built thaw, has its verbs of the lab tried
instead of the driver's that they run.
"""

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import json
import mmap
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

from thaw_vmm import durable, lab_guest  # noqa: E402
from thaw_vmm.page_server import PAGE, PageServer  # noqa: E402

MEMORY_MIB = 192
FULL_MEMORY_MIB = 640
WARM_CALLS = 3
REQUEST = {"orders": 2000, "seed": 7}
# Longer than a page of the console's line buffer: it passes only if the console is raw.
DOCUMENT = [
    {"order": n, "customer": f"c{n % 5}", "item": "drum", "quantity": 2, "unit_cents": n}
    for n in range(300)
]

_scratch: tempfile.TemporaryDirectory
_library: Path


def setUpModule() -> None:
    global _scratch, _library
    _scratch = tempfile.TemporaryDirectory(prefix="thaw-qemu-test-")
    unittest.addModuleCleanup(_scratch.cleanup)
    unittest.addModuleCleanup(_end_leftovers)
    if os.uname().machine != "x86_64":
        raise unittest.SkipTest("SKIP: the guest and its QEMU are for x86-64")
    if shutil.which("qemu-system-x86_64") is None:
        raise unittest.SkipTest("SKIP: no qemu-system-x86_64 (package qemu-system-x86)")
    prebuilt = os.environ.get("THAW_PRELOAD_LIBRARY")
    if prebuilt:
        _library = Path(prebuilt)
        return
    if shutil.which("g++") is None:
        raise unittest.SkipTest(
            "SKIP: no g++ to build the preload library, and THAW_PRELOAD_LIBRARY is not set"
        )
    _library = Path(_scratch.name, "libthaw_uffd_preload.so")
    warnings = ("-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-pedantic", "-Werror")
    kind = ("-std=c++20", "-O2", "-fno-exceptions", "-fPIC", "-shared")
    source = HERE / "uffd_preload.cc"
    subprocess.run(["g++", *kind, *warnings, str(source), "-o", str(_library)], check=True)


def _processes() -> list[int]:
    """Every QEMU of this test that still runs."""
    mark = b"\0" + _scratch.name.encode() + b"/"
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if command.startswith(b"qemu-system") and mark in command:
            found.append(int(entry.name))
    return found


def _processes_of(parent: int) -> list[int]:
    """The QEMUs that this process started."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            command = (entry / "cmdline").read_bytes()
            if int(fields[1]) == parent and command.startswith(b"qemu-system"):
                found.append(int(entry.name))
    return found


def _end_leftovers() -> None:
    for pid in _processes():
        os.kill(pid, signal.SIGKILL)


def thaw_qemu(*arguments: object) -> tuple[int, list[dict], str]:
    """Exit status, results and stderr of one invocation."""
    command = [sys.executable, str(HERE / "thaw-qemu"), *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=80, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def image_folder(variable: str = "THAW_QEMU_IMAGE", *extras: str) -> Path:
    """A built image; skips where none can be had."""
    prebuilt = os.environ.get(variable)
    if prebuilt:
        return Path(prebuilt)
    image = Path(_scratch.name, "-".join(("image", *extras)))
    if not image.exists():
        for tool in ("apt-get", "dpkg"):
            if shutil.which(tool) is None:
                raise unittest.SkipTest(
                    f"SKIP: no {tool} to build the guest image, and {variable} is not set"
                )
        more = ("--with", ",".join(extras)) if extras else ()
        status, results, said = thaw_qemu("image", "--output", image, *more)
        if status != 0 and ("download" in said or "look up" in said):
            raise unittest.SkipTest(f"SKIP: the guest's packages cannot be downloaded: {said}")
        if status != 0:
            raise AssertionError(said)
    return image


def fingerprint(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_userfaultfd() -> None:
    try:
        os.close(os.open("/dev/userfaultfd", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        if os.geteuid() != 0:
            raise unittest.SkipTest(
                f"SKIP: no userfaultfd for kernel faults: /dev/userfaultfd: {error}"
            ) from error


class ThawQemuTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=_scratch.name))

    def vm(self, name: str = "vm") -> Path:
        path = self.folder / name
        self.addCleanup(thaw_qemu, "quit", "--vm", path)
        return path

    def succeed(self, *arguments: object) -> list[dict]:
        status, results, said = thaw_qemu(*arguments)
        self.assertEqual(status, 0, said)
        return results

    def refuse(self, *arguments: object, says: str, within_s: float = 5) -> str:
        """The invocation fails soon, says why and what to do, and starts nothing that stays."""
        before = set(_processes())
        begin = time.monotonic()
        status, results, said = thaw_qemu(*arguments)
        self.assertLess(time.monotonic() - begin, within_s)
        self.assertEqual(status, 1, said)
        self.assertIn(says, said)
        self.assertIn("to do: ", said)
        self.assertNotIn("Traceback", said)
        self.assertIn(says, results[-1]["error"])
        self.assertTrue(results[-1]["remedy"])
        self.assertEqual(set(_processes()) - before, set())
        return said

    def reply(self, vm: Path, request: dict, *more: object) -> dict:
        return self.succeed("call", "--vm", vm, "--request", json.dumps(request), *more)[-1][
            "reply"
        ]


class GuestTest(ThawQemuTest):
    """One guest, booted, warmed and snapshot once for all tests."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.image = image_folder()
        root = Path(tempfile.mkdtemp(dir=_scratch.name))
        # A name too long for a socket address, with the character that ends a QEMU option.
        warm = root / ("warm,vm-" + "x" * 120)
        cls.snapshot = root / "snapshot"
        for arguments in (
            ("boot", "--vm", warm, "--image", cls.image, "--memory-mib", MEMORY_MIB),
            ("call", "--vm", warm, "--request", json.dumps(REQUEST), "--repeat", WARM_CALLS),
            ("call", "--vm", warm, "--request", json.dumps({"document": DOCUMENT, "id": "mine"})),
            ("call", "--vm", warm, "--request", json.dumps({"orders": -1})),
        ):
            status, results, said = thaw_qemu(*arguments)
            assert status == 0, said
            if arguments[0] == "boot":
                cls.boot = results[0]
            elif "--repeat" in arguments:
                cls.warm = [result["reply"] for result in results]
            elif "mine" in arguments[-1]:
                cls.warm_document = results[0]["reply"]
            else:
                cls.refused = results[0]["reply"]
        cls.calls = cls.refused["calls"]
        # A snapshot that cannot be written leaves the VM running, and so the next one possible.
        cls.failed_snapshot = thaw_qemu("snapshot", "--vm", warm, "--output", "/dev/null/snapshot")
        cls.occupied_snapshot = thaw_qemu("snapshot", "--vm", warm, "--output", root)
        cls.after_failure = thaw_qemu("call", "--vm", warm, "--request", '{"orders": 1}')
        cls.calls += 1
        cls.taken = thaw_qemu("snapshot", "--vm", warm, "--output", cls.snapshot)
        assert cls.taken[0] == 0, cls.taken[2]
        cls.warm_vm = warm
        cls.memory = cls.snapshot / "memory"
        cls.vmstate = cls.snapshot / "vmstate"
        cls.memory_digest = fingerprint(cls.memory)

    def resume(self, vm: Path, way: str, *more: object) -> dict:
        if way != "uffd":
            more = ("--memory", self.memory, *more)
        return self.succeed(
            "resume",
            "--vm",
            vm,
            "--vmstate",
            self.vmstate,
            "--way",
            way,
            "--preload",
            _library,
            *more,
        )[0]

    def check_continues(self, vm: Path) -> None:
        """The resumed function is the warm one, one call on, and computes the same."""
        reply = self.reply(vm, REQUEST)
        self.assertEqual(reply["calls"], self.calls + 1)
        self.assertEqual(reply["boot_id"], self.boot["boot_id"])
        self.assertEqual(reply["sha256"], self.warm[0]["sha256"])
        self.assertEqual(
            self.reply(vm, {"document": DOCUMENT})["sha256"], self.warm_document["sha256"]
        )

    def test_image_is_built_once(self) -> None:
        if os.environ.get("THAW_QEMU_IMAGE"):
            self.skipTest("SKIP: the image was built elsewhere (THAW_QEMU_IMAGE)")
        before = (self.image / "initramfs").stat()
        self.assertFalse(self.succeed("image", "--output", self.image)[0]["built"])
        self.assertEqual((self.image / "initramfs").stat().st_mtime_ns, before.st_mtime_ns)

    def test_warm_function(self) -> None:
        self.assertEqual([reply["calls"] for reply in self.warm], list(range(1, WARM_CALLS + 1)))
        self.assertEqual({reply["boot_id"] for reply in self.warm}, {self.boot["boot_id"]})
        self.assertEqual(len({reply["sha256"] for reply in self.warm}), 1)
        self.assertNotEqual(self.warm[0]["sha256"], self.warm_document["sha256"])
        self.assertEqual(self.warm_document["id"], "mine")
        self.assertEqual(self.warm_document["orders"], len(DOCUMENT))
        self.assertFalse(self.refused["ok"])
        self.assertIn("orders is -1", self.refused["error"])
        # The host computes the same answer: the guest's is no accident of a broken machine.
        function = [sys.executable, str(HERE.parent / "guest/function.py")]
        host = subprocess.run(
            function, input=json.dumps(REQUEST) + "\n", capture_output=True, text=True, check=True
        )
        self.assertEqual(json.loads(host.stdout.splitlines()[-1])["sha256"], self.warm[0]["sha256"])

    def test_every_function(self) -> None:
        """Each function of the image answers in the guest as on the host, and by its input."""
        sizes = {
            "json": {"orders": 20},
            "html": {"rows": 20},
            "aes": {"bytes": 100},
            "compress": {"lines": 50},
            "text": {"words": 50},
            "graph": {"nodes": 50},
            "hello": {},
            "mmap": {"pages": 20},
        }
        requests = [
            {"function": name, "seed": seed, "input": kind, **size}
            for name, size in sizes.items()
            for seed, kind in ((1, "small"), (2, "small"), (2, "large"))
            # Of mmap, only the number of pages differs.
            if (name, kind) != ("mmap", "large")
        ]
        inputs = len(requests)
        requests += [
            {"function": "none"},
            {"function": "aes", "bytes": -1},
            {"function": "text", "input": "huge"},
        ]
        host = subprocess.run(
            [sys.executable, str(HERE.parent / "guest/function.py")],
            input="".join(json.dumps(request) + "\n" for request in requests),
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        expected = [json.loads(line) for line in host.stdout.splitlines()[1:]]
        vm = self.vm()
        self.resume(vm, "file")
        for request, answer in zip(requests, expected, strict=True):
            reply = self.reply(vm, request)
            for name in set(answer) - {"id", "boot_id", "calls"}:
                self.assertEqual(reply[name], answer[name], (request, name))
        digests = {answer["sha256"] for answer in expected[:inputs]}
        self.assertEqual(len(digests), inputs)
        self.assertIn("no function none", expected[-3]["error"])
        self.assertIn("bytes is -1", expected[-2]["error"])
        self.assertIn("input is huge", expected[-1]["error"])

    def test_small_input_is_the_default(self) -> None:
        vm = self.vm()
        self.resume(vm, "file")
        default = self.reply(vm, {"seed": 5})["sha256"]
        self.assertEqual(self.reply(vm, {"seed": 5, "input": "small"})["sha256"], default)
        self.assertNotEqual(self.reply(vm, {"seed": 5, "input": "large"})["sha256"], default)

    def test_function_of_another_image(self) -> None:
        """A function that needs what the image does not have says how to get it."""
        vm = self.vm()
        self.resume(vm, "file")
        for name, need in (("matmul", "numpy"), ("image", "pil"), ("node", "node")):
            reply = self.reply(vm, {"function": name})
            self.assertFalse(reply["ok"])
            self.assertIn(f"thaw-qemu image --with {need}", reply["error"])
        self.assertTrue(self.reply(vm, {"orders": 1})["ok"])

    def test_aes_is_aes(self) -> None:
        """The example of FIPS 197, appendix C.1."""
        sys.path.insert(0, str(HERE.parent / "guest"))
        self.addCleanup(sys.path.remove, str(HERE.parent / "guest"))
        from functions import aes

        keys = aes.expand_key(bytes(range(16)))
        self.assertEqual(
            aes.encrypt_block(keys, 0x00112233445566778899AABBCCDDEEFF),
            0x69C4E0D86A7B0430D8CDB78070B4C55A,
        )

    def test_snapshot(self) -> None:
        self.assertEqual(self.failed_snapshot[0], 1)
        self.assertIn("cannot write the snapshot", self.failed_snapshot[2])
        self.assertEqual(self.occupied_snapshot[0], 1)
        self.assertIn("it exists", self.occupied_snapshot[2])
        self.assertEqual(self.after_failure[0], 0, self.after_failure[2])
        self.assertEqual(
            sorted(path.name for path in self.snapshot.iterdir()), ["memory", "vmstate"]
        )
        self.assertEqual(self.memory.stat().st_size, MEMORY_MIB << 20)
        # Far below the memory's size: the memory is in its own file alone.
        self.assertLess(self.vmstate.stat().st_size, 1 << 20)
        self.assertEqual(
            [path for path in self.snapshot.parent.iterdir() if "partial" in path.name], []
        )
        self.assertEqual(
            sorted(path.name for path in self.warm_vm.iterdir()), ["lock", "qemu.log", "vm.json"]
        )
        self.refuse("call", "--vm", self.warm_vm, says="no VM runs in")

    def test_resume_by_file(self) -> None:
        vm = self.vm()
        self.resume(vm, "file")
        self.check_continues(vm)
        self.refuse(
            "snapshot", "--vm", vm, "--output", self.folder / "again", says="it was resumed"
        )
        self.assertEqual(fingerprint(self.memory), self.memory_digest)

    def test_two_resumed_at_once(self) -> None:
        vms = [self.vm("one"), self.vm("two")]
        for vm in vms:
            self.resume(vm, "file")
        for vm in vms:
            self.check_continues(vm)

    def test_resume_present(self) -> None:
        vm = self.vm()
        self.resume(vm, "present")
        status = Path(f"/proc/{(vm / 'qemu.pid').read_text().strip()}/status").read_text()
        resident_kib = next(
            int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")
        )
        self.assertGreater(resident_kib, MEMORY_MIB << 10)
        self.check_continues(vm)
        self.assertEqual(fingerprint(self.memory), self.memory_digest)

    def serve(self, **how: bool) -> tuple[Path, PageServer]:
        require_userfaultfd()
        path = self.folder / "pages.sock"
        server = PageServer(path, self.memory, **how)
        self.addCleanup(server.close)
        return path, server

    def test_resume_by_userfaultfd(self) -> None:
        path, server = self.serve()
        vm = self.vm()
        self.resume(vm, "uffd", "--uffd-socket", path, "--memory-mib", MEMORY_MIB)
        self.check_continues(vm)
        self.assertIsNone(server.error)
        self.assertEqual(server.handshake_fds, 1)
        region = server.handshake[0]
        self.assertEqual(len(server.handshake), 1)
        self.assertEqual(
            list(region), ["base_host_virt_addr", "size", "offset", "page_size", "page_size_kib"]
        )
        self.assertEqual(region["base_host_virt_addr"] % PAGE, 0)
        self.assertEqual((region["size"], region["offset"]), (MEMORY_MIB << 20, 0))
        self.assertEqual((region["page_size"], region["page_size_kib"]), (PAGE, PAGE))
        self.assertGreater(len(server.faults), 100)
        # Every byte came from the server: the file that QEMU was given has none.
        self.assertEqual((vm / "memory-placeholder").stat().st_blocks, 0)
        self.assertFalse(server.hung_up.is_set())
        self.succeed("quit", "--vm", vm)
        self.assertTrue(server.hung_up.wait(5))

    def test_wrong_pages_are_noticed(self) -> None:
        """The canary: a guest whose pages come from the server cannot live on a lie."""
        path, server = self.serve(lie=True)
        vm = self.vm()
        status, _, _ = thaw_qemu(
            "resume", "--vm", vm, "--vmstate", self.vmstate, "--way", "uffd", "--preload", _library,
            "--uffd-socket", path, "--memory-mib", MEMORY_MIB,
        )  # fmt: skip
        if status == 0:
            self.refuse("call", "--vm", vm, "--timeout-s", 3, says="", within_s=8)
        self.assertGreater(len(server.faults), 0)

    def test_silent_page_server(self) -> None:
        """QEMU reads guest memory before it runs the guest, so that the resume itself stalls."""
        path, server = self.serve(mute=True)
        vm = self.vm()
        self.refuse(
            "resume", "--vm", vm, "--vmstate", self.vmstate, "--way", "uffd", "--preload", _library,
            "--uffd-socket", path, "--memory-mib", MEMORY_MIB, "--timeout-s", 2, says="for 2 s",
        )  # fmt: skip
        self.assertEqual(server.handshake_fds, 1)
        self.assertTrue(server.hung_up.wait(5))
        self.assertFalse((vm / "memory-placeholder").exists())

    def test_folder_in_use(self) -> None:
        vm = self.vm()
        self.resume(vm, "file")
        again = ("--vm", vm, "--memory", self.memory, "--vmstate", self.vmstate, "--way", "file")
        self.refuse("resume", *again, says="is in use")
        self.refuse("boot", "--vm", vm, "--image", self.image, says="is in use")
        with (vm / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.refuse("call", "--vm", vm, says="another thaw-qemu works on")
        self.check_continues(vm)

    def test_dead_qemu(self) -> None:
        vm = self.vm()
        pid = self.resume(vm, "file")["pid"]
        self.assertEqual(int((vm / "qemu.pid").read_text()), pid)
        os.kill(pid, signal.SIGKILL)
        while pid in _processes():
            time.sleep(0.01)
        self.refuse("call", "--vm", vm, says="no VM runs in")
        self.assertEqual(self.succeed("quit", "--vm", vm)[0]["ended"], "not running")
        self.resume(vm, "file")
        self.check_continues(vm)

    def test_strange_process_is_not_ended(self) -> None:
        """A process that took over the id in qemu.pid is not ours to end."""
        vm = self.vm()
        self.resume(vm, "file")
        ours = (vm / "qemu.pid").read_text()
        with subprocess.Popen(["sleep", "60"]) as stranger:
            (vm / "qemu.pid").write_text(f"{stranger.pid}\n")
            self.refuse("call", "--vm", vm, says="no VM runs in")
            (vm / "qemu.pid").write_text(ours)
            self.succeed("quit", "--vm", vm)
            self.assertIsNone(stranger.poll())
            stranger.kill()

    def test_quit_ends_a_stopped_process(self) -> None:
        vm = self.vm()
        pid = self.resume(vm, "file")["pid"]
        os.kill(pid, signal.SIGSTOP)
        self.assertEqual(self.succeed("quit", "--vm", vm)[0]["ended"], "killed")
        self.assertNotIn(pid, _processes())

    def test_interrupted_boot_leaves_no_process(self) -> None:
        vm = self.vm()
        command = [
            sys.executable,
            str(HERE / "thaw-qemu"),
            "boot",
            "--vm",
            str(vm),
            "--image",
            str(self.image),
        ]
        with subprocess.Popen(command) as boot:
            while not (vm / "qemu.pid").exists() and boot.poll() is None:
                time.sleep(0.01)
            boot.terminate()
            self.assertEqual(boot.wait(10), 128 + signal.SIGTERM)
        self.assertEqual(
            [pid for pid in _processes() if str(vm) in Path(f"/proc/{pid}/cmdline").read_text()], []
        )
        self.assertFalse((vm / "qmp.sock").exists())

    def test_wrong_device_state(self) -> None:
        vm = self.vm()
        broken = self.folder / "vmstate"
        arguments = ("--vm", vm, "--memory", self.memory, "--vmstate", broken, "--way", "file")
        broken.write_bytes(os.urandom(1 << 16))
        self.refuse("resume", *arguments, says="Not a migration stream")
        broken.write_bytes(self.vmstate.read_bytes()[: 100 << 10])
        self.refuse("resume", *arguments, says="qemu.log")
        broken.write_bytes(b"")
        self.refuse("resume", *arguments, says="no device state in")
        self.assertFalse((vm / "qmp.sock").exists())


class LabTest(ThawQemuTest):
    """Images and traces for the lab, by thaw where there is one."""

    def setUp(self) -> None:
        super().setUp()
        self.image = image_folder()
        self.images = self.folder / "images"
        self.traces = self.folder / "traces"
        self.images.mkdir()

    def lab(self, verb: str, *arguments: object) -> list[str]:
        """The command that runs a verb of the driver."""
        program = os.environ.get("THAW_PROGRAM")
        words = {"images": ("lab", "build"), "traces": ("lab", "trace")}[verb]
        command = (program, *words) if program else (sys.executable, HERE / "thaw-qemu", verb)
        if verb == "traces":
            arguments = ("--preload", _library, *arguments)
        return [str(word) for word in (*command, *arguments, "--json")]

    def record(self, *more: object) -> list[str]:
        return self.lab("traces", "--images", self.images, "--output", self.traces, *more)

    def take_image(self, recipe: str | None = None) -> Path:
        """The image as the lab's, with another recipe if one is given."""
        image = self.images / "guest-image"
        image.mkdir()
        for name in ("kernel", "initramfs"):
            (image / name).symlink_to(self.image / name)
        manifest = json.loads((self.image / "image.json").read_text())
        manifest["recipe"] = recipe or manifest["recipe"]
        (image / "image.json").write_text(json.dumps(manifest))
        return image

    def test_same_packages_give_the_same_bytes(self) -> None:
        image = self.images / "guest-image"
        shutil.copytree(self.image / "packages", image / "packages", copy_function=os.link)
        umask = os.umask(0o077)
        self.addCleanup(os.umask, umask)
        done = subprocess.run(
            self.lab("images", "--output", self.images, "--with", ""),
            env={**os.environ, "TZ": "Pacific/Auckland", "PYTHONHASHSEED": "77"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        first = json.loads((self.image / "image.json").read_text())
        again = json.loads((image / "image.json").read_text())
        self.assertEqual(again, first)
        self.assertEqual(fingerprint(image / "initramfs"), first["initramfs_sha256"])
        self.assertEqual(fingerprint(image / "kernel"), first["kernel_sha256"])
        self.assertIn(first["initramfs_sha256"], done.stdout)
        self.assertIn(f"zlib1g_{self.version_of('zlib1g', first)}_amd64.deb", first["packages"])
        self.assertEqual([path.name for path in self.images.iterdir()], ["guest-image"])

    @staticmethod
    def version_of(package: str, manifest: dict) -> str:
        [name] = [name for name in manifest["packages"] if name.startswith(f"{package}_")]
        return name.split("_")[1]

    def test_interrupted_build_leaves_no_image(self) -> None:
        image = self.images / "guest-image"
        shutil.copytree(self.image / "packages", image / "packages", copy_function=os.link)
        (image / "image.json").write_text("{}")
        command = self.lab("images", "--output", self.images, "--with", "")
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as build:
            while not list(image.glob(".build-*/root/usr")) and build.poll() is None:
                time.sleep(0.01)
            build.terminate()
            self.assertIn(build.wait(20), (128 + signal.SIGINT, 128 + signal.SIGTERM))
            self.assertNotIn(b"Traceback", build.stderr.read())
        self.assertEqual(
            sorted(path.name for path in image.iterdir()), ["image.json", "packages"]
        )
        said = subprocess.run(self.record("--function", "json"), capture_output=True, text=True)
        self.assertEqual(said.returncode, 1)
        self.assertIn("there is no guest image", said.stderr)

    def test_function_is_recorded(self) -> None:
        require_userfaultfd()
        self.take_image()
        done = subprocess.run(
            self.record("--function", "hello"), capture_output=True, text=True, check=False
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(done.stdout)
        function = result["functions"][0] if "functions" in result else result
        self.assertEqual(function["function"], "hello")
        # Two calls with the small input touch nearly the same pages, the large input others.
        self.assertGreater(function["in_recording"], 0.9)
        self.assertLess(function["other_in_recording"], 0.7)
        self.assertEqual(
            sorted(path.name for path in self.traces.iterdir()),
            ["hello.other.trace", "hello.recorded.trace", "hello.shape", "hello.trace"],
        )
        head, *events = (self.traces / "hello.trace").read_text().splitlines()
        self.assertEqual(head, "thaw trace v1 pages=65536")
        self.assertEqual(len({event.split()[0] for event in events}), function["touched"])
        # The guest's own time between two faults: most have some.
        gaps = [event.split()[2:] for event in events]
        self.assertGreater(sum(map(bool, gaps)), len(gaps) / 2)

    def test_image_of_another_version(self) -> None:
        self.take_image(recipe="of last year")
        done = subprocess.run(self.record(), capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("is of another version", done.stderr)
        self.assertIn(f"thaw lab build --output {self.images}", done.stderr)
        self.assertFalse(self.traces.exists())

    def test_unknown_function(self) -> None:
        done = subprocess.run(self.record("--function", "perl"), capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no guest has a function perl", done.stderr)

    def test_interrupted_recording_leaves_nothing(self) -> None:
        require_userfaultfd()
        self.take_image()
        before = set(_processes())
        for stop in (signal.SIGTERM, signal.SIGINT):
            with subprocess.Popen(
                self.record("--function", "json"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            ) as recording:
                while set(_processes()) == before and recording.poll() is None:
                    time.sleep(0.01)
                recording.send_signal(stop)
                self.assertIn(recording.wait(30), (128 + signal.SIGINT, 128 + stop))
                self.assertNotIn(b"Traceback", recording.stderr.read())
            self.assertEqual(set(_processes()), before)
            self.assertEqual(list(self.traces.iterdir()), [])


class LabGuestTest(ThawQemuTest):
    """A guest that was kept, and what is measured of it. One for all tests, of the function hello."""

    @classmethod
    def setUpClass(cls) -> None:
        require_userfaultfd()
        root = Path(tempfile.mkdtemp(dir=_scratch.name))
        images = root / "images"
        images.mkdir()
        (images / "guest-image").symlink_to(image_folder())
        cls.guests, cls.traces = root / "guests", root / "traces"
        program = os.environ.get("THAW_PROGRAM")
        verb = (program, "lab", "trace") if program else (sys.executable, HERE / "thaw-qemu", "traces")
        command = (
            *verb, "--images", images, "--output", cls.traces, "--guests", cls.guests,
            "--function", "hello", "--preload", _library, "--json",
        )  # fmt: skip
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        cls.guest = cls.guests / "hello"
        cls.described = json.loads((cls.guest / "guest.json").read_text())
        cls.memory = cls.guest / "memory"
        cls.pages = cls.memory.stat().st_size // PAGE

    def measure(self, way: str, *more: object, guest: Path | None = None) -> list[object]:
        # In the tests' folder, by which they know their QEMUs.
        where = ("--guest", guest or self.guest, "--vm", self.vm())
        return ["measure", *where, "--way", way, "--preload", _library, *more]

    def serve(self, memory: Path, **how: bool) -> tuple[Path, PageServer]:
        path = self.folder / "pages.sock"
        path.unlink(missing_ok=True)
        server = PageServer(path, memory, **how)
        self.addCleanup(server.close)
        return path, server

    def changed(self, page: int) -> Path:
        """The memory with one bit of this page turned."""
        wrong = self.folder / f"memory-{page}"
        shutil.copyfile(self.memory, wrong)
        with wrong.open("r+b") as file:
            file.seek(page * PAGE + 77)
            byte = file.read(1)[0]
            file.seek(page * PAGE + 77)
            file.write(bytes([byte ^ 1]))
        return wrong

    def copy(self) -> tuple[Path, dict]:
        """The guest in another folder, to be described otherwise."""
        guest = self.folder / "hello"
        shutil.copytree(self.guest, guest, copy_function=os.link)
        (guest / "guest.json").unlink()
        return guest, json.loads(json.dumps(self.described))

    def test_guest_is_whole(self) -> None:
        names = {"memory", "vmstate"}
        traces = {path.name for path in self.traces.iterdir()}
        self.assertEqual(len(traces), 4)
        self.assertEqual(
            {path.name for path in self.guest.iterdir()}, names | traces | {"guest.json"}
        )
        self.assertEqual(set(self.described["sha256"]), names | traces)
        for name, digest in self.described["sha256"].items():
            self.assertEqual(fingerprint(self.guest / name), digest, name)
        for name in traces:
            self.assertEqual(fingerprint(self.traces / name), self.described["sha256"][name])
        # Zeros take no room, and nothing of the making is left.
        self.assertLess(self.memory.stat().st_blocks * 512, self.memory.stat().st_size * 3 // 4)
        self.assertEqual([path.name for path in self.guests.iterdir()], ["hello"])

    def test_guest_answers_as_the_host(self) -> None:
        inputs = self.described["inputs"]
        self.assertEqual(set(inputs), {"recorded", "measured", "other"})
        requests = [
            {"function": "hello", "seed": call["seed"], "input": call["input"]}
            for call in inputs.values()
        ]
        host = subprocess.run(
            [sys.executable, str(HERE.parent / "guest/function.py")],
            input="".join(json.dumps(request) + "\n" for request in requests),
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        answers = [json.loads(line)["sha256"] for line in host.stdout.splitlines()[1:]]
        self.assertEqual(answers, [call["sha256"] for call in inputs.values()])

    def check_times(self, result: dict) -> None:
        order = ("started", "ready", "loading", "loaded", "running", "asked", "replied")
        times = [result[f"{name}_ns"] for name in order]
        self.assertEqual(times, sorted(times))
        at = dict(zip(order, times, strict=True))
        for name, begin, end in (
            ("start", "started", "ready"),
            ("load", "loading", "running"),
            ("call", "asked", "replied"),
            ("loaded_call", "loading", "replied"),
        ):
            self.assertAlmostEqual(result[f"{name}_ms"], (at[end] - at[begin]) / 1e6, delta=0.01)
        for name, rest in (("resume_ms", "load_ms"), ("total_ms", "loaded_call_ms")):
            self.assertAlmostEqual(result[name], result["start_ms"] + result[rest], delta=0.01)
        self.assertGreaterEqual(result["total_cpu_ms"], result["cpu_ms"])
        self.assertGreater(result["cpu_ms"], 0)
        self.assertGreaterEqual(result["rss_bytes"], result["pss_bytes"])
        self.assertGreaterEqual(result["rss_bytes"], result["private_bytes"])
        self.assertGreater(result["private_bytes"], 0)

    def test_call_by_file(self) -> None:
        for call in ("recorded", "measured", "other"):
            [result] = self.succeed(*self.measure("file", "--call", call))
            self.check_times(result)
            self.assertEqual(result["sha256"], self.described["inputs"][call]["sha256"])
            self.assertGreater(result["minor_faults"] + result["major_faults"], 100)
            self.assertLess(result["rss_bytes"], self.pages * PAGE)
        self.assertEqual(fingerprint(self.memory), self.described["sha256"]["memory"])

    def test_call_present(self) -> None:
        [result] = self.succeed(*self.measure("present", "--call", "measured"))
        self.check_times(result)
        self.assertEqual(result["rss_bytes"], self.pages * PAGE)
        self.assertEqual(result["private_bytes"], self.pages * PAGE)

    def test_call_over_a_page_server(self) -> None:
        path, server = self.serve(self.memory)
        command = self.measure("uffd", "--call", "measured", "--uffd-socket", path)
        with subprocess.Popen(
            [sys.executable, str(HERE / "thaw-qemu"), *map(str, command), "--follow-input", "--json"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as verb:  # fmt: skip
            # Held, QEMU has handed over its memory and touched none of it.
            self.assertEqual(json.loads(verb.stdout.readline()), {"held": True})
            self.assertEqual(server.handshake[0]["size"], self.pages * PAGE)
            self.assertEqual(server.faults, [])
            verb.stdin.write("\n")
            verb.stdin.flush()
            result = json.loads(verb.stdout.readline())
            self.assertEqual(verb.wait(20), 0)
        self.check_times(result)
        self.assertTrue(server.hung_up.wait(5))
        # Each page of its memory is one that the server installed; some came after the reply.
        served = len({fault.page for fault in server.faults}) * PAGE
        self.assertLessEqual(result["rss_bytes"], served)
        self.assertGreater(result["rss_bytes"], served // 2)
        self.assertEqual(_processes(), [])

    def test_every_page_is_compared(self) -> None:
        path, server = self.serve(self.memory)
        for how in (
            self.measure("file", "--verify"),
            self.measure("present", "--verify"),
            self.measure("uffd", "--verify", "--uffd-socket", path),
        ):
            [result] = self.succeed(*how)
            self.assertEqual(result["pages_compared"], self.pages)
            self.assertGreater(result["data_pages"], 1000)
        self.assertEqual(len({fault.page for fault in server.faults}), self.pages)

    def test_wrong_page_is_named(self) -> None:
        """The canary, by each way: the last page, which is zero, and one that holds data."""
        data = int((self.guest / "hello.shape").read_text().splitlines()[-1].split()[0])
        for page in (self.pages - 1, data):
            wrong = self.changed(page)
            path, _ = self.serve(wrong)
            for how in (
                self.measure("file", "--verify", "--memory", wrong),
                self.measure("present", "--verify", "--memory", wrong),
                self.measure("uffd", "--verify", "--uffd-socket", path),
            ):
                status, results, said = thaw_qemu(*how)
                self.assertEqual(status, 1)
                self.assertIn(f"wrong in 1 of {self.pages} pages: {page}\n", said)
                self.assertTrue(results[-1]["corrupt"])
        self.assertEqual(_processes(), [])

    def test_memory_that_is_not_what_was_kept(self) -> None:
        guest, described = self.copy()
        described["sha256"]["memory"] = "0" * 64
        (guest / "guest.json").write_text(json.dumps(described))
        said = self.refuse(
            *self.measure("file", "--verify", guest=guest), says="is not what it was", within_s=60
        )
        self.assertNotIn("Traceback", said)

    def test_wrong_answer(self) -> None:
        for change, says in (
            ({"boot_id": "another"}, "answers boot_id="),
            ({"calls": 7}, "answers calls=2, where a right one answers 8"),
            ({"inputs": "0" * 64}, "answers sha256="),
        ):
            guest, described = self.copy()
            if "inputs" in change:
                described["inputs"]["measured"]["sha256"] = change["inputs"]
            else:
                described |= change
            (guest / "guest.json").write_text(json.dumps(described))
            status, results, said = thaw_qemu(
                *self.measure("file", "--call", "measured", guest=guest)
            )
            self.assertEqual(status, 1)
            self.assertIn(says, said)
            self.assertTrue(results[-1]["corrupt"])
            shutil.rmtree(guest)

    def test_guest_that_is_none(self) -> None:
        none = self.folder / "none"
        said = self.refuse(*self.measure("file", "--verify", guest=none), says="there is no guest")
        self.assertIn("thaw lab build", said)
        self.assertIn(f"--guests {self.folder} --function none", said)
        guest, described = self.copy()
        (guest / "guest.json").write_text("{}")
        self.refuse(*self.measure("file", "--verify", guest=guest), says="cannot read")
        described["memory_mib"] += 1
        (guest / "guest.json").write_text(json.dumps(described))
        self.refuse(*self.measure("file", "--verify", guest=guest), says="is no file of")
        for arguments in ((), ("--verify", "--call", "measured"), ("--call", "none")):
            status, _, said = thaw_qemu(*self.measure("file", *arguments))
            self.assertEqual(status, 2, said)

    def test_guest_ends_with_whoever_measures(self) -> None:
        """By a signal, by the end of its input, or killed, while a page server keeps it waiting."""
        path, _ = self.serve(self.memory, mute=True)
        for end in ("terminate", "close", "kill"):
            command = self.measure("uffd", "--verify", "--uffd-socket", path, "--follow-input")
            with subprocess.Popen(
                [sys.executable, str(HERE / "thaw-qemu"), *map(str, command), "--json"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            ) as verb:  # fmt: skip
                self.assertEqual(json.loads(verb.stdout.readline()), {"held": True})
                [qemu] = _processes_of(verb.pid)
                if end != "terminate":  # that one ends while it is held
                    verb.stdin.write("\n")
                    verb.stdin.flush()
                if end == "close":
                    verb.stdin.close()
                else:
                    getattr(verb, end)()
                status = verb.wait(20)
                self.assertNotIn("Traceback", verb.stderr.read())
            self.assertEqual(status, -9 if end == "kill" else 128 + signal.SIGTERM)
            while Path(f"/proc/{qemu}/cmdline").exists():
                self.assertEqual(end, "kill")  # the others waited for it
                time.sleep(0.01)
            path, _ = self.serve(self.memory, mute=True)

    def test_folder_of_its_own(self) -> None:
        self.succeed(*self.measure("file", "--call", "measured"))
        self.assertEqual(
            sorted(path.name for path in (self.folder / "vm").iterdir()),
            ["lock", "qemu.log", "vm.json"],
        )

    def test_interrupted_keeping_leaves_the_old_guest(self) -> None:
        guests = self.folder / "guests"
        (guests / "f").mkdir(parents=True)
        (guests / "f/guest.json").write_text("old")
        (guests / ".f.partial-99999999").mkdir()  # of a process that was killed
        with self.assertRaises(KeyboardInterrupt), lab_guest.written(guests, "f") as folder:
            (folder / "guest.json").write_text("new")
            raise KeyboardInterrupt
        self.assertEqual([path.name for path in guests.iterdir()], ["f"])
        self.assertEqual((guests / "f/guest.json").read_text(), "old")
        with lab_guest.written(guests, "f") as folder:
            (folder / "guest.json").write_text("new")
        self.assertEqual([path.name for path in guests.iterdir()], ["f"])
        self.assertEqual((guests / "f/guest.json").read_text(), "new")


class DurableTest(unittest.TestCase):
    """Files that belong together."""

    def test_two_sets_are_never_mixed(self) -> None:
        """Cut off at any of its renames, the set lacks its first file: nobody takes it for one."""
        old = {name: f"old {name}" for name in ("shape", "a", "b")}
        new = {name: f"new {name}" for name in old}
        for cut in range(len(old) + 1):
            with self.subTest(cut=cut), tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch)
                durable.write_texts(folder, old)
                renames = [None] * cut + [OSError("cut off")] * len(old)
                rename = os.rename

                def cut_off(source: Path, target: Path) -> None:
                    if error := renames.pop(0):
                        raise error
                    rename(source, target)

                with mock.patch("os.rename", cut_off):
                    if cut < len(old):
                        self.assertRaises(OSError, durable.write_texts, folder, new)
                    else:
                        durable.write_texts(folder, new)
                found = {path.name: path.read_text() for path in folder.iterdir()}
                if cut == len(old):
                    self.assertEqual(found, new)
                else:
                    self.assertNotIn("shape", found)
                    self.assertEqual(set(found), {"a", "b"})


class FullImageTest(ThawQemuTest):
    """The functions that need more than the standard library."""

    # What they answer to a seed of 7: from a guest once, and the same in every one since.
    DIGESTS = {
        ("matmul", "small"): "a789377c08037580",
        ("matmul", "large"): "5a7389b97c47086e",
        ("image", "small"): "c95073e13f9e9b9e",
        ("image", "large"): "b46f0f9598c4b855",
        ("imports", "small"): "c909a44b28d9cdb0",
        ("imports", "large"): "7a4911848c7c012a",
        ("node", "small"): "65cd650365e7a55a",
        ("node", "large"): "d525fb00cbfa72c9",
    }

    def test_functions(self) -> None:
        image = image_folder("THAW_QEMU_FULL_IMAGE", "node", "numpy", "pil")
        vm = self.vm()
        self.refuse("boot", "--vm", vm, "--image", image, says="does not fit into a guest")
        self.succeed("boot", "--vm", vm, "--image", image, "--memory-mib", FULL_MEMORY_MIB)
        found = {}
        for function, kind in self.DIGESTS:
            reply = self.reply(vm, {"function": function, "input": kind, "seed": 7})
            self.assertTrue(reply["ok"], reply)
            found[function, kind] = reply["sha256"][:16]
        self.assertEqual(found, self.DIGESTS)
        # To JavaScript this is infinite, and node ends; the next request finds a new one.
        reply = self.reply(vm, {"function": "node", "seed": 10**400})
        self.assertIn("node ended with status 1", reply["error"])
        reply = self.reply(vm, {"function": "node", "seed": 7})
        self.assertEqual(reply["sha256"][:16], self.DIGESTS["node", "small"])


class WrongInputTest(ThawQemuTest):
    """What needs no guest."""

    def setUp(self) -> None:
        super().setUp()
        self.memory = self.folder / "memory"
        with self.memory.open("wb") as file:
            file.truncate(MEMORY_MIB << 20)
        self.vmstate = self.folder / "vmstate"
        self.vmstate.write_bytes(b"state")

    def refuse_resume(self, way: str, *more: object, says: str) -> str:
        arguments = (
            "--vm",
            self.vm(),
            "--vmstate",
            self.vmstate,
            "--way",
            way,
            "--memory-mib",
            MEMORY_MIB,
        )
        return self.refuse("resume", *arguments, *more, says=says)

    def test_missing_image(self) -> None:
        self.refuse(
            "boot", "--vm", self.vm(), "--image", self.folder / "none", says="it has no image.json"
        )

    def test_image_that_is_no_kernel(self) -> None:
        image = self.folder / "image"
        image.mkdir()
        for name in ("image.json", "kernel", "initramfs"):
            (image / name).write_text("no kernel")
        self.refuse("boot", "--vm", self.vm(), "--image", image, says="linux kernel too old")
        self.assertFalse((self.folder / "vm/memory").exists())

    def test_unknown_extra(self) -> None:
        arguments = ("image", "--output", self.folder / "image", "--with", "numpy,perl")
        self.refuse(*arguments, says="no image can be built with perl")
        self.assertFalse((self.folder / "image").exists())

    def test_impossible_size(self) -> None:
        image = self.folder / "image"
        image.mkdir()
        for name in ("image.json", "kernel", "initramfs"):
            (image / name).touch()
        self.refuse(
            "boot",
            "--vm",
            self.vm(),
            "--image",
            image,
            "--memory-mib",
            1,
            says="1 MiB is not possible",
        )

    def test_missing_memory(self) -> None:
        self.refuse_resume("file", "--memory", self.folder / "none", says="no memory file")
        self.refuse_resume("present", "--preload", _library, says="no memory file")

    def test_memory_of_wrong_size(self) -> None:
        os.truncate(self.memory, (MEMORY_MIB << 20) - PAGE)
        self.refuse_resume(
            "file", "--memory", self.memory, says=f"must be a file of {MEMORY_MIB} MiB"
        )
        os.truncate(self.memory, (MEMORY_MIB + 1) << 20)
        self.refuse_resume(
            "file", "--memory", self.memory, says=f"must be a file of {MEMORY_MIB} MiB"
        )

    def test_memory_in_the_folder_that_is_cleaned(self) -> None:
        vm = self.vm()
        vm.mkdir()
        inside = self.memory.rename(vm / "memory")
        (vm / "vm.json").write_text("{}")
        self.refuse_resume("file", "--memory", inside, says="is in the folder of the VM")
        self.assertTrue(inside.exists())

    def test_folder_of_something_else(self) -> None:
        arguments = ("--memory", self.memory, "--vmstate", self.vmstate, "--way", "file")
        self.refuse("resume", "--vm", self.folder, *arguments, says="is no VM's folder")
        self.refuse("quit", "--vm", self.folder, says="is no VM's folder")
        self.assertTrue(self.memory.exists())

    def test_missing_device_state(self) -> None:
        self.vmstate.unlink()
        self.refuse_resume("file", "--memory", self.memory, says="no device state in")

    def test_page_server_missing(self) -> None:
        self.refuse_resume("uffd", "--preload", _library, says="needs a page server")
        absent = self.folder / "absent.sock"
        self.refuse_resume(
            "uffd", "--preload", _library, "--uffd-socket", absent, says="is no Unix socket"
        )

    def test_socket_nobody_listens_on(self) -> None:
        require_userfaultfd()
        dead = self.folder / "dead.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bound:
            bound.bind(str(dead))
        said = self.refuse_resume(
            "uffd", "--preload", _library, "--uffd-socket", dead, says="QEMU ended"
        )
        self.assertIn(f"cannot connect to the page server at {dead}: Connection refused", said)

    def test_library_missing_or_broken(self) -> None:
        self.refuse_resume("present", "--memory", self.memory, says="needs the preload library")
        broken = self.folder / "broken.so"
        broken.write_text("no library")
        self.refuse_resume(
            "present",
            "--memory",
            self.memory,
            "--preload",
            broken,
            says="QEMU runs without the preload library",
        )

    def test_wrong_usage(self) -> None:
        for arguments in (
            (),
            ("resume",),
            ("call", "--vm", "x", "--request", "[1]"),
            ("boot", "--memory-mib", "many"),
        ):
            status, _, said = thaw_qemu(*arguments)
            self.assertEqual(status, 2, arguments)
            self.assertIn("usage: thaw-qemu", said)

    def test_help_of_every_verb(self) -> None:
        for verb in ("image", "images", "traces", "boot", "call", "snapshot", "resume", "measure", "quit"):
            done = subprocess.run(
                [HERE / "thaw-qemu", verb, "--help"], capture_output=True, text=True, check=True
            )
            self.assertIn("--json", done.stdout)


class PreloadTest(ThawQemuTest):
    """The library without QEMU: a process that maps the file as told, under the library."""

    # Prints errno's name for each mapping asked for, or "mapped".
    MAPPER = """
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
number = ctypes.c_int
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, number, number, number, ctypes.c_long]
fd = os.open(sys.argv[1], os.O_RDWR)
for flags, length in (map(int, word.split(":")) for word in sys.argv[2:]):
    address = libc.mmap(None, length, 3, flags, fd, 0)
    failed = address == ctypes.c_void_p(-1).value
    print(errno.errorcode[ctypes.get_errno()] if failed else "mapped", flush=True)
"""
    PRIVATE, SHARED = mmap.MAP_PRIVATE, mmap.MAP_SHARED

    def setUp(self) -> None:
        super().setUp()
        self.memory = self.folder / "memory"
        self.memory.write_bytes(os.urandom(4 * PAGE))

    def map(
        self, *mappings: tuple[int, int], path: Path | None = None, **environment: object
    ) -> tuple[list[str], str]:
        variables = {
            f"THAW_PRELOAD_{name.upper()}": str(value) for name, value in environment.items()
        }
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                self.MAPPER,
                path or self.memory,
                *(f"{flags}:{size}" for flags, size in mappings),
            ],
            env={**os.environ, "LD_PRELOAD": str(_library), **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.split(), done.stderr

    def test_other_files_and_no_mode_pass(self) -> None:
        other = self.folder / "other"
        other.write_bytes(b"x" * PAGE)
        self.assertEqual(self.map((self.SHARED, PAGE))[0], ["mapped"])
        said, _ = self.map(
            (self.SHARED, PAGE), path=other, mode="uffd", memory=self.memory, socket="none"
        )
        self.assertEqual(said, ["mapped"])

    def test_incomplete_setup_maps_nothing(self) -> None:
        for environment, why in (
            ({"mode": "uffd"}, "not set: THAW_PRELOAD_MEMORY"),
            ({"mode": "maybe", "memory": self.memory}, "not a mode: maybe"),
            ({"mode": "populate", "memory": "/none"}, "cannot find /none"),
            ({"mode": "uffd", "memory": self.memory}, "no page server for"),
            ({"mode": "uffd", "memory": self.memory, "socket": "s" * 108}, "File name too long"),
        ):
            said, error = self.map((self.PRIVATE, PAGE), **environment)
            self.assertNotIn("mapped", said)
            self.assertIn(why, error)

    def test_shared_mapping_is_refused(self) -> None:
        for mode in ("uffd", "populate"):
            said, error = self.map(
                (self.SHARED, PAGE), mode=mode, memory=self.memory, socket="none"
            )
            self.assertEqual(said, ["EINVAL"])
            self.assertEqual(error.count("\n"), 1)
            self.assertIn("mapped shared", error)

    def test_populate_reports_pages_that_do_not_exist(self) -> None:
        sizes = ((self.PRIVATE, 4 * PAGE), (self.PRIVATE, 8 * PAGE))
        said, error = self.map(*sizes, mode="populate", memory=self.memory)
        self.assertEqual(said[0], "mapped")
        self.assertNotEqual(said[1], "mapped")
        self.assertIn("cannot bring in every page", error)

    def test_one_handover(self) -> None:
        require_userfaultfd()
        path = self.folder / "pages.sock"
        server = PageServer(path, self.memory)
        self.addCleanup(server.close)
        hard_link = self.folder / "same file"
        os.link(self.memory, hard_link)
        sizes = ((self.PRIVATE, PAGE + 1), (self.PRIVATE, 4 * PAGE), (self.PRIVATE, 4 * PAGE))
        said, error = self.map(*sizes, path=hard_link, mode="uffd", memory=self.memory, socket=path)
        self.assertEqual(said, ["EINVAL", "mapped", "EBUSY"])
        self.assertIn("part of a page", error)
        self.assertIn("already handed over", error)
        self.assertTrue(server.hung_up.wait(5))
        self.assertEqual(server.handshake[0]["size"], 4 * PAGE)


if __name__ == "__main__":
    unittest.main(verbosity=2)
