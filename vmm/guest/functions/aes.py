# SPDX-License-Identifier: Apache-2.0
"""aes: AES-128 in counter mode in plain Python (FIPS 197, with the four tables that fold SubBytes,
ShiftRows and MixColumns into look-ups), over bytes that the function makes.

  {"bytes": count, "seed": number, "input": size}

Large: more bytes, sealed with an HMAC, then opened again.
"""

import hashlib
import random

from . import is_large, number

BYTES_DEFAULT = 16_384
BYTES_LARGE = 49_152
BYTES_MAX = 1 << 20
ROUNDS = 10
BLOCK = 16


def _times_two(value: int) -> int:
    value <<= 1
    return value ^ 0x11B if value & 0x100 else value


def _make_sbox() -> list[int]:
    # p runs through the field by multiplying with 3, q through the inverses by dividing.
    sbox = [0] * 256
    p = q = 1
    while True:
        p ^= _times_two(p)
        q ^= q << 1
        q ^= q << 2
        q ^= q << 4
        q &= 0xFF
        if q & 0x80:
            q ^= 0x09
        rotated = q ^ (q << 1 | q >> 7) ^ (q << 2 | q >> 6) ^ (q << 3 | q >> 5) ^ (q << 4 | q >> 4)
        sbox[p] = (rotated & 0xFF) ^ 0x63
        if p == 1:
            break
    sbox[0] = 0x63
    return sbox


SBOX = _make_sbox()
T0 = [_times_two(s) << 24 | s << 16 | s << 8 | (_times_two(s) ^ s) for s in SBOX]
T1, T2, T3 = ([(t >> shift | t << 32 - shift) & 0xFFFFFFFF for t in T0] for shift in (8, 16, 24))


def expand_key(key: bytes) -> list[int]:
    """The 44 words of the round keys of a key of 16 bytes."""
    words = [int.from_bytes(key[i : i + 4], "big") for i in range(0, BLOCK, 4)]
    constant = 1
    for i in range(4, 4 * (ROUNDS + 1)):
        word = words[i - 1]
        if i % 4 == 0:
            word = (word << 8 | word >> 24) & 0xFFFFFFFF
            word = _substitute(word, word, word, word) ^ constant << 24
            constant = _times_two(constant)
        words.append(words[i - 4] ^ word)
    return words


def _substitute(a: int, b: int, c: int, d: int) -> int:
    return (
        SBOX[a >> 24] << 24 | SBOX[b >> 16 & 255] << 16 | SBOX[c >> 8 & 255] << 8 | SBOX[d & 255]
    )


def encrypt_block(keys: list[int], block: int) -> int:
    a = block >> 96 ^ keys[0]
    b = (block >> 64 & 0xFFFFFFFF) ^ keys[1]
    c = (block >> 32 & 0xFFFFFFFF) ^ keys[2]
    d = (block & 0xFFFFFFFF) ^ keys[3]
    for k in range(4, 4 * ROUNDS, 4):
        a, b, c, d = (
            T0[a >> 24] ^ T1[b >> 16 & 255] ^ T2[c >> 8 & 255] ^ T3[d & 255] ^ keys[k],
            T0[b >> 24] ^ T1[c >> 16 & 255] ^ T2[d >> 8 & 255] ^ T3[a & 255] ^ keys[k + 1],
            T0[c >> 24] ^ T1[d >> 16 & 255] ^ T2[a >> 8 & 255] ^ T3[b & 255] ^ keys[k + 2],
            T0[d >> 24] ^ T1[a >> 16 & 255] ^ T2[b >> 8 & 255] ^ T3[c & 255] ^ keys[k + 3],
        )
    last = keys[4 * ROUNDS :]
    return (
        (_substitute(a, b, c, d) ^ last[0]) << 96
        | (_substitute(b, c, d, a) ^ last[1]) << 64
        | (_substitute(c, d, a, b) ^ last[2]) << 32
        | _substitute(d, a, b, c) ^ last[3]
    )


def apply_counter_mode(key: bytes, counter: int, data: bytes) -> bytes:
    """Encrypts, and decrypts what it encrypted."""
    keys = expand_key(key)
    out = bytearray()
    for at in range(0, len(data), BLOCK):
        piece = data[at : at + BLOCK]
        stream = encrypt_block(keys, (counter + at // BLOCK) % (1 << 128)).to_bytes(BLOCK, "big")
        out += bytes(x ^ y for x, y in zip(piece, stream))
    return bytes(out)


def seal(key: bytes, counter: int, plain: bytes) -> bytes:
    """The encrypted bytes with their HMAC, opened again to see that nothing was lost."""
    # Only here: a guest that was warmed with a small input has never seen it.
    import hmac

    sealed = apply_counter_mode(key, counter, plain)
    tag = hmac.digest(key, sealed, "sha512")
    if apply_counter_mode(key, counter, sealed) != plain:
        raise RuntimeError("what was sealed does not open")
    return sealed + tag


def answer(request: dict) -> dict:
    large = is_large(request)
    source = random.Random(int(request.get("seed", 1)))
    key = source.randbytes(BLOCK)
    counter = source.getrandbits(128)
    default = BYTES_LARGE if large else BYTES_DEFAULT
    plain = source.randbytes(number(request, "bytes", default, BYTES_MAX))
    sealed = (seal if large else apply_counter_mode)(key, counter, plain)
    return {"bytes": len(sealed), "sha256": hashlib.sha256(sealed).hexdigest()}
