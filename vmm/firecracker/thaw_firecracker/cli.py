# SPDX-License-Identifier: Apache-2.0
"""The command line: one verb an invocation."""

import argparse

from thaw_vmm.command_line import add_measure, add_traces, run

from .lab_vmm import Firecracker

_ABOUT = """\
Records and measures the lab's guests in Firecracker, as thaw-qemu does in QEMU: `thaw lab trace --vmm
firecracker` and `thaw lab run` run it. Needs the program firecracker (v1.12 or later) in PATH and
/dev/kvm. A KVM that only emulates runs a guest too slowly to boot it in any time; that one may be
resumed and its memory compared. Images are those of `thaw lab build`."""

_VMM = Firecracker()


def main() -> int:
    parser = argparse.ArgumentParser(prog=_VMM.driver, description=_ABOUT)
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    add_traces(verbs, _VMM)
    add_measure(verbs, _VMM)
    return run(parser, _VMM.driver)
