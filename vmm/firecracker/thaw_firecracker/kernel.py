# SPDX-License-Identifier: Apache-2.0
"""The kernel as Firecracker boots it: the ELF file inside a bzImage.

A bzImage holds the compressed kernel between its own code; where, its setup header says (the kernel's
document "The Linux/x86 Boot Protocol"). Behind the compressed data stands the size that it has
unpacked. Debian 12 compresses its kernel with LZ4, in the program's legacy frame.
"""

import struct
import subprocess
from pathlib import Path

from thaw_vmm.failure import Failure

_SECTOR = 512
_SETUP_SECTS = 0x1F1  # sectors of real-mode code behind the first; 0 means 4
_MAGIC, _MAGIC_AT = b"HdrS", 0x202
_PAYLOAD_OFFSET, _PAYLOAD_LENGTH = 0x248, 0x24C  # from the protected-mode code on
_LZ4_LEGACY = bytes.fromhex("02214c18")
_ELF = b"\x7fELF"
_REMEDY = "use the kernel of Debian 12's linux-image-cloud-amd64, as `thaw lab build` does"


def write_elf(bzimage: Path, elf: Path) -> None:
    """Writes the uncompressed kernel of `bzimage`. Failure if it is none, or not packed with LZ4."""
    packed, size = _payload(bzimage)
    try:
        done = subprocess.run(["lz4", "-d", "-c"], input=packed, capture_output=True, check=False)
    except OSError as error:
        raise Failure(
            f"cannot unpack the kernel {bzimage}: lz4: {error.strerror}",
            "install the Debian package lz4",
        ) from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise Failure(f"cannot unpack the kernel {bzimage}: lz4: {said}", _REMEDY)
    if len(done.stdout) != size or not done.stdout.startswith(_ELF):
        raise Failure(
            f"the kernel in {bzimage} is no ELF file of {size} bytes, as its header says", _REMEDY
        )
    elf.write_bytes(done.stdout)


def _payload(bzimage: Path) -> tuple[bytes, int]:
    """The compressed kernel, and its size unpacked."""
    image = bzimage.read_bytes()
    if image[_MAGIC_AT : _MAGIC_AT + len(_MAGIC)] != _MAGIC:
        raise Failure(f"{bzimage} is no bzImage: it has no setup header", _REMEDY)
    begin = ((image[_SETUP_SECTS] or 4) + 1) * _SECTOR
    offset, length = (
        struct.unpack_from("<I", image, at)[0] for at in (_PAYLOAD_OFFSET, _PAYLOAD_LENGTH)
    )
    payload = image[begin + offset : begin + offset + length]
    if len(payload) != length or not payload.startswith(_LZ4_LEGACY):
        raise Failure(f"the kernel in {bzimage} is not compressed with LZ4", _REMEDY)
    return payload[:-4], struct.unpack("<I", payload[-4:])[0]
