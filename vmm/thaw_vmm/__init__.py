# SPDX-License-Identifier: Apache-2.0
"""What the drivers of all VMMs share: the guest's image, its console, the lab's guests, and how one is
recorded and measured."""
