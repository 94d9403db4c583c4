"""A small static server on this machine, for looking at an exported page."""

import http.server
import socket
import webbrowser
from collections.abc import Callable
from functools import partial
from pathlib import Path

from formats.errors import MissingAsset

TYPES = {".js": "text/javascript", ".json": "application/json", ".glb": "model/gltf-binary", ".css": "text/css",
         ".html": "text/html; charset=utf-8", ".png": "image/png", ".svg": "image/svg+xml", ".wasm": "application/wasm",
         "": "application/octet-stream"}


LOOPBACK = "127.0.0.1"


def _own_address() -> str:
    """Return the address at which other machines most likely see this one; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # reserved for documentation (RFC 5737)
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


class _Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = TYPES

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        pass


def server(folder: Path, port: int = 0, host: str = LOOPBACK) -> http.server.ThreadingHTTPServer:
    """Return a server of `folder`, on the loopback address unless told otherwise, ready for `serve_forever`.

    Args:
        folder: What `export web` wrote.
        port: TCP port; 0 takes a free one (`server_address[1]` says which).
        host: Address to listen at; `0.0.0.0` is every one of this machine, for a phone in the same network.

    Raises:
        MissingAsset: There is no page in the folder, or the port is taken, or the address is not this machine's.
    """
    if not (folder / "index.html").is_file():
        raise MissingAsset(f"{folder}: no index.html; write the page with `flameport export X.avatar web --out {folder}`")
    try:
        return http.server.ThreadingHTTPServer((host, port), partial(_Handler, directory=str(folder)))
    except (OSError, OverflowError) as error:
        raise MissingAsset(f"{host}, port {port}: {error}; choose another with --port, or 0 for a free one") from error


def serve(folder: Path, port: int, open_browser: bool, say: Callable[[str], None], host: str = LOOPBACK) -> None:
    """Serve `folder` until interrupted, telling the address through `say`."""
    with server(folder, port, host) as running:
        found = running.server_address[1]
        everywhere = host in ("0.0.0.0", "")
        address = f"http://{LOOPBACK if everywhere else host}:{found}/"
        say(f"{address}  (Ctrl-C stops)")
        if everywhere:
            say(f"http://{_own_address()}:{found}/  for other machines of this network: everybody in it can see the avatar")
        if open_browser:
            webbrowser.open(address)
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            say("stopped")
