# SPDX-License-Identifier: Apache-2.0
"""Makes the traces of the benches and the lab anew, from real guests.

Each function is booted, warmed by one call with the small input and snapshot. The snapshot is
resumed three times by a page server that installs page by page, and called once: so one resume can
stand for the recording and the others for resumes that it is to speed up. Written for each function,
in the text formats of image/page_trace.h and image/page_shape.h:

  NAME.shape           the pages of the memory that hold data
  NAME.recorded.trace  small input: the pages in order of first touch, until the reply was there
  NAME.trace           small input of another seed: the same, and besides the first write of each
                       page that was read before: to whoever maps memory privately, that is one more
                       fault
  NAME.other.trace     the same as NAME.trace with the large input: what drifted from the recording

If asked to, it keeps the snapshot with what each call answered (lab_guest.py), so that the
same calls can be made of a real guest.

The files of a function belong to one snapshot, so they appear together or not at all; killed in
that moment, the function is without its shape, and nothing loads it. A gap is the guest's own time
between two faults, without their service.
"""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from . import durable, guest_image, lab_guest
from .failure import Failure
from .guest_image import functions
from .measure import written_at_load
from .page_server import PAGE, Fault, PageServer
from .vmm import TIMEOUT_S_DEFAULT, Resumption, Vmm

_MEMORY_MIB_DEFAULT = 256
_MEMORY_MIB = {"node": 512}
_SMALL, _LARGE = functions.INPUTS
# The calls: seed and input of each.
_WARM, _RECORDED, _MEASURED, _OTHER = (1, _SMALL), (2, _SMALL), (3, _SMALL), (4, _LARGE)
# Where a guest's memory costs no disk.
_SCRATCH = "/dev/shm"
_HANG_UP_WAIT_S = 10.0


def record(
    vmm: Vmm, images: Path, output: Path, names: Iterable[str], preload: Path | None,
    guests: Path | None = None,
) -> Iterator[dict]:  # fmt: skip
    """Writes the files of each function into `output`, and its snapshot into a folder of `guests` if
    that is given; what it recorded, function by function.

    The images are those of guest_image.build_each() in `images`; `preload` is
    libthaw_uffd_preload.so, of a VMM that needs it. What is missing is said before the first guest
    boots. However it ends, no guest runs on.
    """
    names = _known(names)
    for name in names:
        _image(images, name)
    vmm.check()
    if preload is not None and not preload.is_file():
        raise Failure(
            f"cannot serve a guest's pages: there is no preload library {preload}",
            "build the target thaw_uffd_preload, or name the library with --preload",
        )
    output.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names, 1):
        recorded = _record_function(vmm, images, output, guests, name, preload)
        yield {"number": number, "of": len(names), **recorded}


def table_row(result: dict) -> str:
    """A row of the table in the traces' README.md."""
    return (
        "| {function} | {pages} | {data_pages} | {touched} | {runs} | {zero} | {first_written:.2f} "
        "| {written:.2f} | {in_recording:.3f} | {jaccard:.3f} | {other_touched} "
        "| {other_in_recording:.3f} | {other_jaccard:.3f} |".format_map(result)
    )


def _known(names: Iterable[str]) -> list[str]:
    names = list(dict.fromkeys(names)) or list(functions.NAMES)
    for name in names:
        if name not in functions.NAMES:
            raise Failure(
                f"no guest has a function {name}", f"choose from {', '.join(functions.NAMES)}"
            )
    return names


def _image(images: Path, function: str) -> Path:
    """The image that has what the function needs, and the function as it is here."""
    need = functions.NEEDS.get(function)
    image = guest_image.folder(images, need)
    remedy = f"build it: thaw lab build --output {images}"
    if not guest_image.is_built(image):
        raise Failure(f"there is no guest image {image}, which {function} needs", remedy)
    if not guest_image.is_current(image, () if need is None else (need,)):
        raise Failure(f"the guest image {image} is of another version of thaw", remedy)
    return image


def _record_function(
    vmm: Vmm, images: Path, output: Path, guests: Path | None, name: str, preload: Path | None
) -> dict:
    memory_mib = _MEMORY_MIB.get(name, _MEMORY_MIB_DEFAULT)
    pages = (memory_mib << 20) // PAGE
    image = _image(images, name)
    with tempfile.TemporaryDirectory(dir=_SCRATCH, prefix="thaw-record-") as scratch:
        work = Path(scratch)
        taken = work / "snapshot"
        warm = vmm.warm_snapshot(work / "warm", image, memory_mib, _request(name, _WARM), taken)
        _check_answered(name, _WARM, warm)
        heard = {
            call: _faults(vmm, work, taken, name, what, preload, memory_mib, see_writes=see_writes)
            for call, what, see_writes in (
                ("recorded", _RECORDED, False),
                ("measured", _MEASURED, True),
                ("other", _OTHER, True),
            )
        }
        for call, (_, reply) in heard.items():
            _check_same_process(warm, reply, f"{call} call of {name}")
        recorded, measured, other = (faults for faults, _ in heard.values())
        data = _data_pages(taken / "memory")
        shape = "".join(f"{page} {count}\n" for page, count in _runs(data))
        texts = {
            f"{name}.shape": f"thaw shape v1 pages={pages}\n{shape}",
            f"{name}.recorded.trace": _trace_text(recorded, pages),
            f"{name}.trace": _trace_text(measured, pages),
            f"{name}.other.trace": _trace_text(other, pages),
        }
        if guests is not None:
            replies = {call: reply for call, (_, reply) in heard.items()}
            _keep(vmm, guests, name, taken, memory_mib, data, texts, warm, replies, image)
    durable.write_texts(output, texts)
    return {"function": name, "pages": pages, **_shares(data, recorded, measured, other)}


def _keep(
    vmm: Vmm, guests: Path, name: str, taken: Path, memory_mib: int, data: list[int],
    texts: dict[str, str], warm: dict, replies: dict[str, dict], image: Path,
) -> None:  # fmt: skip
    """The snapshot as a guest of the lab."""
    calls = {
        call: lab_guest.Call(seed=seed, input=size, sha256=replies[call]["sha256"])
        for call, (seed, size) in (
            ("recorded", _RECORDED),
            ("measured", _MEASURED),
            ("other", _OTHER),
        )
    }
    with lab_guest.written(guests, name) as folder:
        lab_guest.write_memory(taken / "memory", folder / "memory", _runs(data), PAGE)
        shutil.copyfile(taken / "vmstate", folder / "vmstate")
        written = written_at_load(
            vmm, taken.parent / "loaded", folder / "memory", folder / "vmstate", memory_mib
        )
        for file, text in texts.items():
            (folder / file).write_text(text)
        lab_guest.write_description(
            folder, vmm=vmm.name, function=name, memory_mib=memory_mib, boot_id=warm["boot_id"],
            calls_made=warm["calls"], calls=calls, image=image, written_by_vmm=written,
        )  # fmt: skip


def _check_same_process(warm: dict, reply: dict, what: str) -> None:
    wanted = {"boot_id": warm["boot_id"], "calls": warm["calls"] + 1}
    if wanted != {name: reply.get(name) for name in wanted}:
        raise Failure(
            f"the {what} was answered by another process than was snapshot: {reply}",
            "this is a mistake of thaw: tell its authors",
            corrupt=True,
        )


def _request(function: str, what: tuple[int, str]) -> dict:
    seed, size = what
    return {"function": function, "seed": seed, "input": size}


def _check_answered(function: str, what: tuple[int, str], reply: dict) -> None:
    if not reply.get("ok"):
        raise Failure(
            f"the guest answers {_request(function, what)} with {reply}",
            "build its image anew: thaw lab build",
        )


def _faults(
    vmm: Vmm, work: Path, taken: Path, function: str, what: tuple[int, str], preload: Path | None,
    memory_mib: int, *, see_writes: bool,
) -> tuple[list[Fault], dict]:  # fmt: skip
    """The faults of a resume until the reply to its first call, and that reply."""
    seed, _ = what
    path, pages = work / f"vm{seed}", work / f"pages{seed}.sock"
    server = PageServer(pages, taken / "memory", see_writes=see_writes)
    try:
        how = Resumption(
            vmstate=taken / "vmstate", way="uffd", memory_mib=memory_mib, preload=preload,
            uffd_socket=pages, outlives=False,
        )  # fmt: skip
        with vmm.loaded(path, how, lambda _: None) as resumed:
            resumed.run()
            with resumed.console(TIMEOUT_S_DEFAULT) as console:
                reply, _ = console.call(_request(function, what))
            _check_answered(function, what, reply)
            faults = list(server.faults)
        server.hung_up.wait(_HANG_UP_WAIT_S)
    finally:
        server.close()
    if server.error is not None:
        raise Failure(
            f"cannot serve the pages of {function}: {server.error}",
            "recording needs userfaultfd with write protection: Linux 5.14, and leave to use it",
        ) from server.error
    # Two threads may wait for one page.
    first: dict[tuple[int, bool], Fault] = {}
    for fault in faults:
        first.setdefault((fault.page, fault.again), fault)
    return list(first.values()), reply


def _data_pages(memory: Path) -> list[int]:
    zero = bytes(PAGE)
    with memory.open("rb") as file:
        pages = iter(lambda: file.read(PAGE), b"")
        return [number for number, page in enumerate(pages) if page != zero]


def _runs(pages: list[int]) -> list[tuple[int, int]]:
    """First page and length of each run of ascending pages."""
    runs: list[tuple[int, int]] = []
    for page in pages:
        if runs and sum(runs[-1]) == page:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((page, 1))
    return runs


def _trace_text(faults: list[Fault], pages: int) -> str:
    lines = [f"thaw trace v1 pages={pages}"]
    for fault in faults:
        gap = f" {fault.gap_ns}" if fault.gap_ns else ""
        lines.append(f"{fault.page} {'w' if fault.write else 'r'}{gap}")
    return "\n".join(lines) + "\n"


def _shares(
    data: list[int], recorded: list[Fault], measured: list[Fault], other: list[Fault]
) -> dict:
    """What a page server should know of the function: how much it touches and how much of that a
    recording foretells."""
    touched = {fault.page for fault in measured}
    drifted = {fault.page for fault in other}
    before = {fault.page for fault in recorded}
    written = {fault.page for fault in measured if fault.write}
    first_written = sum(fault.write and not fault.again for fault in measured)
    return {
        "data_pages": len(data),
        "touched": len(touched),
        "runs": len(_runs(sorted(touched))),
        "zero": len(touched - set(data)),
        "first_written": first_written / len(touched),
        "written": len(written) / len(touched),
        "in_recording": len(touched & before) / len(touched),
        "jaccard": len(touched & before) / len(touched | before),
        "other_touched": len(drifted),
        "other_in_recording": len(drifted & before) / len(drifted),
        "other_jaccard": len(drifted & before) / len(drifted | before),
    }
