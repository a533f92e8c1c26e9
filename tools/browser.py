# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, driven by chromedriver over WebDriver (HTTP and JSON, nothing but the standard
library), as tools/test_report.py uses it."""

import base64
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

# It asks nobody for anything by itself, so that whatever it does ask for is the page's.
ARGUMENTS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--disable-default-apps --disable-extensions --disable-dev-shm-usage --mute-audio"
).split()


class BrowserError(Exception):
    pass


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Browser:
    """Use it in a `with`: it ends both processes and removes their files."""

    def __init__(self) -> None:
        driver, browser = shutil.which("chromedriver"), shutil.which("chromium")
        if not driver or not browser:
            raise BrowserError("needs the Debian packages chromium and chromium-driver")
        self.folder = tempfile.TemporaryDirectory(prefix="thaw-browser-", ignore_cleanup_errors=True)
        self.port = free_port()
        self.log = open(Path(self.folder.name) / "driver.log", "w+")
        self.process = subprocess.Popen(
            [driver, f"--port={self.port}"], stdout=self.log, stderr=self.log,
            env={**os.environ, "HOME": self.folder.name},
        )
        self.session = ""
        try:
            self._begin(browser)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        try:
            if self.session:
                self._ask("DELETE", "")
        except (BrowserError, OSError):
            pass
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.folder.cleanup()

    def _begin(self, browser: str) -> None:
        # A watchdog, far above what it takes.
        for _ in range(600):
            if self.process.poll() is not None:
                raise BrowserError("chromedriver ended: " + Path(self.log.name).read_text()[-1000:])
            try:
                if self._ask("GET", "/status")["ready"]:
                    break
            except OSError:
                pass
            time.sleep(0.1)
        profile = Path(self.folder.name) / "profile"
        profile.mkdir()
        options = {"binary": browser, "args": [*ARGUMENTS, f"--user-data-dir={profile}"]}
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        answer = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.session = "/session/" + answer["sessionId"]

    def _ask(self, method: str, path: str, body: dict | None = None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{self.session}{path}", data, {"Content-Type": "application/json"},
            method=method,
        )
        # Whatever proxy the environment names is not for this machine itself.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=120) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as error:
            raise BrowserError(json.load(error)["value"]["message"]) from error

    def open(self, page: Path) -> None:
        self._ask("POST", "/url", {"url": page.resolve().as_uri()})

    def run(self, script: str, *arguments):
        """The script is a function's body, with `arguments`."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def devtools(self, command: str, **parameters):
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def move_mouse(self, x: float, y: float) -> None:
        move = {"type": "pointerMove", "duration": 0, "x": round(x), "y": round(y)}
        pointer = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}}
        self._ask("POST", "/actions", {"actions": [{**pointer, "actions": [move]}]})

    def console(self) -> list[dict]:
        """What the console said since the last call."""
        return self._ask("POST", "/se/log", {"type": "browser"})

    def requests(self) -> list[str]:
        """The addresses that were asked for since the last call."""
        asked = []
        for entry in self._ask("POST", "/se/log", {"type": "performance"}):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                asked.append(message["params"]["request"]["url"])
        return asked

    def set_size(self, width: int, height: int, phone: bool) -> None:
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height,
            deviceScaleFactor=2 if phone else 1, mobile=phone,
        )

    def set_dark(self, dark: bool) -> None:
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", features=[feature])

    def screenshot(self, path: Path) -> None:
        """Of the whole page."""
        shot = self.devtools("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))
