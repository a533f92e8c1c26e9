# SPDX-License-Identifier: Apache-2.0
"""Files that are complete and on disk, or not there: write aside, fsync, rename, fsync the
directory."""

import errno
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path

_COPY_BYTES = 1 << 20


def sync(path: Path) -> None:
    """fsync of a file or a directory."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def publish(temporary: Path, path: Path) -> None:
    """Gives the finished file or directory `temporary` its name, durably; both have the same parent
    file system."""
    sync(temporary)
    os.rename(temporary, path)
    sync(path.parent)


def write_json(path: Path, value: object) -> None:
    """Replaces `path` by `value` as JSON."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")
        publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_texts(directory: Path, texts: Mapping[str, str]) -> None:
    """Replaces files of `directory` by name, all or, when it is interrupted, none. Killed or without
    power, it may leave the set without the first one, but never the first one beside others of
    another set. Only from a process without other threads, to which the interruption could go."""
    temporary = {name: directory / f".{name}.{os.getpid()}" for name in texts}
    try:
        for name, path in temporary.items():
            path.write_text(texts[name])
            sync(path)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            first = next(iter(temporary))
            (directory / first).unlink(missing_ok=True)
            sync(directory)
            for name in reversed(temporary):
                if name == first:
                    sync(directory)
                os.rename(temporary[name], directory / name)
            sync(directory)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    finally:
        for path in temporary.values():
            path.unlink(missing_ok=True)


def link_or_copy(source: Path, target: Path) -> None:
    """A second name for `source`, or across file systems a copy with the same holes; then fsync."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
            raise
        _copy_sparse(source, target)
    sync(target)


def _copy_sparse(source: Path, target: Path) -> None:
    with source.open("rb", buffering=0) as read, target.open("xb", buffering=0) as write:
        size = os.fstat(read.fileno()).st_size
        write.truncate(size)
        end = 0
        while True:
            try:
                start = os.lseek(read.fileno(), end, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # no data past `end`
                    return
                raise
            end = os.lseek(read.fileno(), start, os.SEEK_HOLE)
            while start < end:
                data = os.pread(read.fileno(), min(_COPY_BYTES, end - start), start)
                if not data:
                    raise OSError(errno.EIO, f"{source} became shorter while it was copied")
                start += os.pwrite(write.fileno(), data, start)
