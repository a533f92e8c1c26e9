#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes image/testdata/manifest.hex from src/thaw/image/FORMAT.md alone, with python3-cryptography and
without any code of thaw: the manifest of image/manifest_test.cc, sealed under a fixed key provider
(key = SHA-256("test"), wrapped = nonce || AES-256-GCM). Usage: make_manifest_vector.py FILE"""

import hashlib
import struct
import sys

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PAGE = 4096


def text(length_format: str, value: bytes) -> bytes:
    return struct.pack(length_format, len(value)) + value


def image(kind: int, name: bytes, size: int, extents: list[tuple[int, int, int, int]]) -> bytes:
    body = struct.pack("<B", kind) + text("<H", name) + struct.pack("<QQ", size, len(extents))
    for page, chunk, slot, count in extents:
        body += struct.pack("<IIHH", page, chunk, slot, count)
    return body


def seal(key: bytes, nonce: bytes, plain: bytes, aad: bytes) -> bytes:
    return nonce + AESGCM(key).encrypt(nonce, plain, aad)


def main() -> None:
    chunks = [(hashlib.sha256(b"a").digest(), 4), (hashlib.sha256(b"b").digest(), 2)]
    clear = struct.pack("<QIIQ", 7, 16384, 0, len(chunks))
    clear += b"".join(name + struct.pack("<I", pages) for name, pages in chunks)

    secret = b"\x5a" * 64 + struct.pack("<I", 3)
    secret += image(1, b"memory", 10 * PAGE, [(0, 0, 0, 4), (6, 1, 1, 1)])
    secret += image(2, b"vmstate", 5000, [(0, 1, 0, 2)])
    secret += image(3, b"root.ext4", 3 * PAGE, [])
    secret += struct.pack("<I", 2)
    secret += text("<H", b"tool") + text("<I", b"thaw")
    secret += text("<H", b"empty") + text("<I", b"")

    magic = b"THAWMANI"
    data_key = bytes(range(32))
    wrapped = seal(hashlib.sha256(b"test").digest(), b"\x01" * 12, data_key, magic)
    sealed_bytes = 12 + len(secret) + 16
    header = magic + struct.pack("<IIQQ", 1, len(wrapped), len(clear), sealed_bytes)
    sealed = seal(data_key, b"\x02" * 12, secret, header + clear)
    manifest = (header + clear + sealed + wrapped).hex()
    with open(sys.argv[1], "w", encoding="ascii") as file:
        file.write("# The manifest of image/manifest_test.cc; made by tools/make_manifest_vector.py\n")
        for at in range(0, len(manifest), 96):
            file.write(manifest[at : at + 96] + "\n")


main()
