# SPDX-License-Identifier: Apache-2.0
"""A thaw verb that serves in the foreground and prints events as JSON lines."""

import json
import signal
import subprocess


class ServingError(Exception):
    pass


class Server:
    """One process. Belongs to one thread. End it with finish() or kill()."""

    def __init__(self, *command):
        self.verb = str(command[1])
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(
            [str(word) for word in (*command, "--json")], stdout=subprocess.PIPE, text=True
        )

    def wait_for(self, event: str) -> dict:
        for line in self.process.stdout:
            said = json.loads(line)
            if said.get("event") == event:
                return said
        raise ServingError(f"thaw {self.verb} ended before it said '{event}'")

    def signal(self, number: int):
        self.process.send_signal(number)

    def finish(self, event: str, stop: bool) -> dict:
        """What it says with its last event; `stop` has it end now."""
        if stop:
            self.signal(signal.SIGTERM)
        said = self.wait_for(event)
        self.process.stdout.read()
        if self.process.wait(timeout=60) != 0:
            raise ServingError(f"thaw {self.verb} failed with exit code {self.process.returncode}")
        return said

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
