"""Headless Chromium over the DevTools protocol on a pipe: no driver, no port, no package."""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

INSTALL = "apt-get install chromium (Debian), or set CHROMIUM to a Chromium or Chrome"
FLAGS = (
    "--headless",
    "--no-sandbox",  # it refuses to run as root with one, and reads local files of these tests alone
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


def chromium() -> str | None:
    """Return the path of the browser, or None where there is none."""
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if name and (found := shutil.which(name))), None)


@dataclass
class Page:
    """One tab, and what it said so far."""

    _commands: IO[bytes]
    _replies: IO[bytes]
    _session: str = ""
    _ids: Iterator[int] = field(default_factory=itertools.count)
    events: list[dict[str, Any]] = field(default_factory=list)

    def call(self, method: str, **parameters: Any) -> Any:
        """Send a command and return its result; what happens meanwhile is kept in `events`."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._commands.write(json.dumps(message).encode() + b"\0")
        self._commands.flush()
        while (reply := self._read()).get("id") != number:
            self.events.append(reply)
        assert "error" not in reply, reply
        return reply["result"]

    def _read(self) -> dict[str, Any]:
        text = bytearray()
        while (byte := self._replies.read(1)) != b"\0":
            assert byte, "the browser has ended"
            text += byte
        reply: dict[str, Any] = json.loads(text)
        return reply

    def attach(self) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "Accessibility"):
            self.call(f"{domain}.enable")

    def open(self, path: Path, width: int = 1100, height: int = 900, scheme: str = "light") -> None:
        """Show the file and wait for its load event."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)
        mobile = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())

    def evaluate(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str, code: int) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def screenshot(self, path: Path) -> None:
        """Write the whole page as a PNG."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def seen(self, *methods: str) -> list[Mapping[str, Any]]:
        self.evaluate("0")  # whatever was on its way has arrived
        return [event["params"] for event in self.events if event["method"] in methods]


@contextmanager
def browsing(folder: Path) -> Iterator[Page]:
    """Start a browser with a new profile in `folder`, and end it."""
    found = chromium()
    assert found, INSTALL
    from_us, ours = os.pipe()
    theirs, to_us = os.pipe()

    def place() -> None:  # the protocol's pipes are 3 and 4, which may be taken, so both are moved away first
        moved = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (from_us, to_us)]
        for end, number in zip(moved, (3, 4), strict=True):
            os.dup2(end, number)
            os.close(end)

    process = subprocess.Popen(
        [found, *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"],
        preexec_fn=place,  # noqa: PLW1509 nothing of this process's threads is used in between
        close_fds=False,  # 3 and 4 stay; Python opens all others to be closed
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)},
    )
    os.close(from_us)
    os.close(to_us)
    with os.fdopen(ours, "wb") as commands, os.fdopen(theirs, "rb") as replies:
        page = Page(commands, replies)
        try:
            page.attach()
            yield page
            page._session = ""
            page.call("Browser.close")
        finally:
            process.terminate()
            process.wait()
