"""A small static server on this machine, for looking at an exported page."""

import http.server
import webbrowser
from collections.abc import Callable
from functools import partial
from pathlib import Path

from formats.errors import MissingAsset

TYPES = {".js": "text/javascript", ".json": "application/json", ".glb": "model/gltf-binary", ".css": "text/css",
         ".html": "text/html; charset=utf-8", ".png": "image/png", ".svg": "image/svg+xml", ".wasm": "application/wasm",
         "": "application/octet-stream"}


class _Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = TYPES

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        pass


def server(folder: Path, port: int = 0) -> http.server.ThreadingHTTPServer:
    """Return a server of `folder` on the loopback address, ready for `serve_forever`.

    Args:
        folder: What `export web` wrote.
        port: TCP port; 0 takes a free one (`server_address[1]` says which).

    Raises:
        MissingAsset: There is no page in the folder, or the port is taken.
    """
    if not (folder / "index.html").is_file():
        raise MissingAsset(f"{folder}: no index.html; write the page with `flameport export X.avatar web --out {folder}`")
    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, directory=str(folder)))
    except (OSError, OverflowError) as error:
        raise MissingAsset(f"port {port}: {error}; choose another with --port, or 0 for a free one") from error


def serve(folder: Path, port: int, open_browser: bool, say: Callable[[str], None]) -> None:
    """Serve `folder` until interrupted, telling the address through `say`."""
    with server(folder, port) as running:
        address = f"http://127.0.0.1:{running.server_address[1]}/"
        say(f"{address}  (Ctrl-C stops)")
        if open_browser:
            webbrowser.open(address)
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            say("stopped")
