# SPDX-License-Identifier: Apache-2.0
"""Boots, snapshots and resumes the lab's guests with Firecracker, whose memory comes from a file, a
mount or a page server."""
