# SPDX-License-Identifier: Apache-2.0
"""Writes an initramfs: a cpio archive in the `newc` format of the kernel's document "initramfs
buffer format".

The archive depends on names, modes and contents alone (no times, owners or inode numbers of the
host), so that the same tree gives the same bytes.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"


class CpioWriter:
    """Appends entries to `out`; `finish` ends the archive. Parents must come before their
    children."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._inode = 0

    def entry(
        self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)
    ) -> None:
        self._inode += 1
        encoded = name.encode() + b"\0"
        fields = (
            self._inode,
            mode,
            0,  # uid
            0,  # gid
            2 if stat.S_ISDIR(mode) else 1,  # links
            0,  # modification time
            len(data),
            0,  # device of the file: major, minor
            0,
            *device,
            len(encoded),
            0,  # checksum, unused in this format
        )
        self._padded(_MAGIC + b"".join(b"%08X" % field for field in fields) + encoded)
        self._padded(data)

    def tree(self, root: Path) -> None:
        """Every directory, file and symbolic link below `root`, in the order of their names."""
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root).as_posix()
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                self.entry(name, stat.S_IFLNK | 0o777, os.readlink(path).encode())
            elif stat.S_ISDIR(status.st_mode):
                self.entry(name, stat.S_IFDIR | 0o755)
            elif stat.S_ISREG(status.st_mode):
                # Only the owner's execute bit counts: the rest follows the umask of whoever built
                # the tree.
                executable = bool(status.st_mode & stat.S_IXUSR)
                self.entry(name, stat.S_IFREG | (0o755 if executable else 0o644), path.read_bytes())

    def finish(self) -> None:
        self._inode = -1
        self.entry(_TRAILER, 0)

    def _padded(self, data: bytes) -> None:
        # Header with name, and data, each fill whole groups of four bytes.
        self._out.write(data + b"\0" * (-len(data) % 4))
