#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes the test vectors of the chunk format with the openssl command line, that is without any code of
# thaw: `make_chunk_vectors.sh DIR` writes DIR/vectors.txt, one vector a line:
#   domain_secret root_id pages key name sha256(ciphertext)
# The plaintext of a vector is, for page i, 4096 times the byte 0x61 + (i mod 26).
set -euo pipefail
out=${1:?usage: $0 DIR}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A number as little-endian hexadecimal of $2 bytes.
little_endian() {
  local text
  text=$(printf "%0$(($2 * 2))x" "$1")
  echo -n "$text" | fold -w2 | tac | tr -d '\n'
}
from_hex() { xxd -r -p; }
sha256() { openssl dgst -sha256 -binary | xxd -p -c 64; }
hmac() { openssl dgst -sha256 -mac HMAC -macopt "hexkey:$1" -binary | xxd -p -c 64; }

vector() {
  local secret=$1 root=$2 pages=$3 i
  : >"$work/plain"
  for ((i = 0; i < pages; i++)); do
    head -c 4096 /dev/zero | tr '\0' "\\$(printf %o $((0x61 + i % 26)))" >>"$work/plain"
  done
  local digest salt key table name
  digest=$(sha256 <"$work/plain")
  salt=$( (printf 'thaw chunk salt v1'; little_endian "$root" 8 | from_hex) | hmac "$secret")
  key=$( (echo -n "$digest" | from_hex; little_endian $((pages * 4096)) 4 | from_hex) | hmac "$salt")
  openssl enc -aes-256-ctr -K "$key" -iv 00000000000000000000000000000000 -nopad \
    -in "$work/plain" -out "$work/cipher"
  table=
  for ((i = 0; i < pages; i++)); do
    table+=$(dd if="$work/cipher" bs=4096 skip=$i count=1 status=none | sha256)
  done
  name=$( (printf 'thaw chunk v1'; little_endian "$pages" 4 | from_hex; echo -n "$table" | from_hex) | sha256)
  echo "$secret $root $pages $key $name $(sha256 <"$work/cipher")"
}

counting=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
{
  echo "# domain_secret root_id pages key name sha256(ciphertext); made by tools/make_chunk_vectors.sh"
  vector $counting 1 2
  vector $counting 2 2
  vector $counting 1 1
  vector $counting 1 128
  vector ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff 18446744073709551615 3
} >"$out/vectors.txt"
