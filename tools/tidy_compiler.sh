#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# clang-tidy in the shape of a compiler, so that ccache can keep its verdicts (tools/tidy.py runs it).
# It writes its object only if clang-tidy has nothing to say. Preprocessed, a file is its text and the
# digests of all of the project's files that it includes: clang-tidy also reads what a preprocessor
# drops, comments and second includes. A ccache that names no output to preprocess into keeps nothing.
set -euo pipefail

output=
preprocess=
previous=
for argument in "$@"; do
  [ "$previous" = -o ] && output=$argument
  [ "$argument" = -E ] && preprocess=yes
  previous=$argument
done
source=${!#}

if [ -n "$preprocess" ]; then
  clang++-19 "$@"
  digests=$(sed -nE 's/^# [0-9]+ "([^/<"][^"]*)".*/\1/p' "$output" | sort -u | xargs sha256sum)
  echo "$digests" >>"$output"
  exit
fi
clang-tidy-19 --quiet "$source" -- "${@:1:$#-1}"
echo clean >"$output"
