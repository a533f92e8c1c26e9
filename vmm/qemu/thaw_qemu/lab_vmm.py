# SPDX-License-Identifier: Apache-2.0
"""QEMU as the lab records and measures guests in it (thaw_vmm/vmm.py)."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from thaw_vmm.vmm import TIMEOUT_S_DEFAULT, Resumption, WrittenAtLoad

from . import qemu_process, vm


class Qemu:
    name = "qemu"
    driver = "thaw-qemu"
    preloads = True
    ways = vm.WAYS
    # With QEMU 7.2 loading reads two or three pages and writes none.
    written_at_load: tuple[WrittenAtLoad, ...] = ()

    def accelerator(self) -> str:
        return qemu_process.accelerator()

    def check(self) -> None:
        """Without KVM it emulates; a QEMU that is missing is told by the first boot."""

    def warm_snapshot(
        self, path: Path, image: Path, memory_mib: int, request: dict, output: Path
    ) -> dict:
        try:
            vm.boot(path, image, memory_mib, TIMEOUT_S_DEFAULT)
            [result] = vm.call(path, request, 1, TIMEOUT_S_DEFAULT)
            vm.snapshot(path, output, TIMEOUT_S_DEFAULT)
        finally:
            if path.exists():
                vm.quit_vm(path)
        return result["reply"]

    @contextlib.contextmanager
    def loaded(
        self, path: Path, how: Resumption, before_load: Callable[[int], None]
    ) -> Iterator[vm.Loaded]:
        with vm.loaded(path, how, lambda process: before_load(process.pid)) as resumed:
            try:
                yield resumed
            finally:
                # It has nothing to save.
                resumed.process.kill()
                resumed.vm.clean()
