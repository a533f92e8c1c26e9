#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the worked example of src/thaw/crypto/FORMAT.md: a keyring and a wrapped data key, made with
the Python package `cryptography` and nothing of thaw."""
import hashlib
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TENANT = b"acme"
MASTER_KEY = b"\x11" * 32
KEY_ID = 1


def wrap(context, nonce, data_key):
    aad = b"thaw wrap v1" + struct.pack("<H", len(TENANT)) + TENANT + context
    sealed = AESGCM(MASTER_KEY).encrypt(nonce, data_key, aad)
    return struct.pack("<BBHI", 1, 1, 0, KEY_ID) + nonce + sealed


keyring = b"thawkeys" + struct.pack("<IH", 1, len(TENANT)) + TENANT
keyring += struct.pack("<II", KEY_ID, 1)
keyring += struct.pack("<IQ", KEY_ID, 1_700_000_000) + MASTER_KEY
keyring += wrap(b"thaw domain secret v1", b"\x22" * 12, b"\x33" * 32)
keyring += hashlib.sha256(keyring).digest()


def show(title, data):
    print(f"{title} ({len(data)} bytes)")
    text = data.hex()
    for begin in range(0, len(text), 80):
        print(text[begin : begin + 80])


show("keyring", keyring)
show('data key, context "example"', wrap(b"example", b"\x44" * 12, b"\x55" * 32))
