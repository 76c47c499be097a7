"""Draws docs/images/terminal.svg: what `orchestrator chat` and `orchestrator status` really print.

Both run in tmux, beside a gateway. Stand-ins for two vendors give written answers; all else, prices among it, is what
users see. The file needs no font and no address of the network.

Usage: python scripts/terminal_picture.py docs/images/terminal.svg
"""

from __future__ import annotations

import json
import os
import random
import shlex
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

WIDTH, HEIGHT = 92, 60
COMMAND = Path(sys.executable).with_name("orchestrator")
PORT = 8477

ANSWERS = {
    "mistral": "Charles Babbage, in 1837. Ada Lovelace wrote the first programs for it.",
    "deepseek": "In 1843, in her notes on a paper by Menabrea. Note G computes Bernoulli numbers.",
}
ASKED = ("Who designed the Analytical Engine?", "/provider deepseek", "When did Ada publish that?", "/cost", "/quit")

FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
THEME = TerminalTheme(
    (13, 17, 23),
    (220, 226, 234),
    [
        (72, 79, 88),
        (255, 123, 114),
        (86, 211, 100),
        (227, 179, 65),
        (121, 192, 255),
        (210, 168, 255),
        (86, 212, 221),
        (220, 226, 234),
    ],
    None,
)
TITLE = "orchestrator"
PICTURE = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title">
<title id="title">A conversation with two providers, and the status of a gateway, in a terminal</title>
<style>
.{unique_id}-matrix, .{unique_id}-title {{ font-family: FONT; font-size: {char_height}px }}
.{unique_id}-title {{ font-size: 18px }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""


class Vendor(BaseHTTPRequestHandler):
    """Answers like a vendor that speaks OpenAI's protocol; the path begins with its name."""

    def do_GET(self) -> None:
        """List no models: the provider's own are used."""
        self._send("application/json", b'{"object": "list", "data": []}')

    def do_POST(self) -> None:
        """Stream the vendor's answer, word by word."""
        name = self.path.split("/")[1]
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        events = list(_events(ANSWERS[name], asked["model"]))
        if not asked.get("stream"):
            message = {"role": "assistant", "content": ANSWERS[name]}
            whole = {**events[-1], "object": "chat.completion"}
            whole["choices"] = [{"index": 0, "message": message, "finish_reason": "stop"}]
            self._send("application/json", json.dumps(whole).encode())
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for event in events:
            time.sleep(0.02)
            self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
            self.wfile.flush()
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that http.server gives it
        """Say nothing."""

    def _send(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _events(text: str, model: str) -> Iterator[dict[str, Any]]:
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}
    for word in text.split():
        yield {**base, "choices": [{"index": 0, "delta": {"content": f"{word} "}, "finish_reason": None}]}
    yield {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    usage = {"prompt_tokens": 214, "completion_tokens": 38, "total_tokens": 252}
    yield {**base, "choices": [], "usage": usage}


@contextmanager
def gateway(folder: Path, environ: dict[str, str]) -> Iterator[str]:
    """Run a gateway that is asked things."""
    with (folder / "gateway.log").open("wb") as log:
        command = [str(COMMAND), "serve", "--port", str(PORT)]
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)  # noqa: S603 - our own
    try:
        url = f"http://127.0.0.1:{PORT}"
        _wait(f"{url}/health/ready")
        threading.Thread(target=_use, args=(url,), daemon=True).start()
        yield url
    finally:
        process.terminate()
        process.wait()


def _use(url: str) -> None:
    """Ask a gateway again and again, until it is gone."""
    with suppress(OSError):
        while True:
            provider = random.choice(("mistral", "mistral", "deepseek", "echo"))  # noqa: S311 - any will do
            _post(f"{url}/api/orchestrate", {"message": "Hello", "agent_config": {"provider": provider}})
            time.sleep(random.expovariate(4))


def _wait(url: str) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(url, timeout=2).close()  # noqa: S310 - our own
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the gateway did not start")


def _post(url: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310 - our own
    urllib.request.urlopen(request, timeout=10).close()  # noqa: S310 - our own


def screen(folder: Path, environ: dict[str, str], url: str) -> str:
    """Type into a terminal, and return what it shows, with its colours."""
    tmux = ["tmux", "-L", f"orchestrator-picture-{os.getpid()}", "-f", "/dev/null"]
    names = ("MISTRAL_API_KEY", "MISTRAL_BASE_URL", "DEEPSEEK_API_KEY", "DEEPSEEK_BASE_URL", "PATH")
    set_up = " ".join(f"export {name}={shlex.quote(environ[name])};" for name in names)
    prompt = r"PS1='\[\e[1;32m\]$\[\e[0m\] '; clear"
    shell = f"cd {shlex.quote(str(folder))}; {set_up} exec bash --norc --noprofile"

    def run(*arguments: str) -> str:
        done = subprocess.run([*tmux, *arguments], check=True, capture_output=True, text=True)  # noqa: S603 - our own
        return done.stdout

    def type_(text: str, seconds: float) -> None:
        run("send-keys", "-l", text)
        run("send-keys", "Enter")
        time.sleep(seconds)

    run("new-session", "-d", "-x", str(WIDTH), "-y", str(HEIGHT), shell)
    try:
        time.sleep(1)
        type_(prompt, 1)
        type_("orchestrator chat --provider mistral", 6)
        for line in ASKED:
            type_(line, 3)
        type_(f"orchestrator status --url {url}", 90)  # six steps of its activity
        run("send-keys", "C-c")
        time.sleep(2)
        return run("capture-pane", "-p", "-e").rstrip().rpartition("\n")[0]  # without the last prompt
    finally:
        run("kill-server")


def main() -> None:
    """Draw the picture."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    vendors = f"http://127.0.0.1:{server.server_port}"
    environ = {
        "PATH": f"{COMMAND.parent}:{os.environ['PATH']}",
        "MISTRAL_API_KEY": "A1b2C3d4E5f6G7h8A1b2C3d4E5f6G7h8",
        "MISTRAL_BASE_URL": f"{vendors}/mistral",
        "DEEPSEEK_API_KEY": f"sk-{'a1b2c3d4' * 4}",
        "DEEPSEEK_BASE_URL": f"{vendors}/deepseek",
    }
    with (
        tempfile.TemporaryDirectory() as served,
        tempfile.TemporaryDirectory() as talked,
        gateway(Path(served), environ) as url,
    ):
        shown = screen(Path(talked), environ, url)
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115, PTH123 - to the end
    console.print(Text.from_ansi(f"{shown}\n"), soft_wrap=True)
    svg = console.export_svg(
        title=TITLE,
        theme=THEME,
        code_format=PICTURE.replace("FONT", FONT),
        unique_id="terminal",
    )
    Path(sys.argv[1]).write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
