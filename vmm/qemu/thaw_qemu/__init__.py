# SPDX-License-Identifier: Apache-2.0
"""Boots, snapshots and resumes a warm microVM with QEMU, whose memory comes from a file, a mount or
a page server."""
