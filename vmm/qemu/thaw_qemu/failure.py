# SPDX-License-Identifier: Apache-2.0
"""The one exception of the driver: an operation failed, and its message is for the operator."""


class Failure(Exception):
    """Its text says what failed, on what and why; `remedy` says what to do."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.remedy = remedy
