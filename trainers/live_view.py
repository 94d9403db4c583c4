"""A page that shows a model while it trains: turn it, move its face, see how far it is from the frame just shown.

The page is viser's (MIT licence, https://viser.studio); pictures are the model's own, drawn between two steps, so that what is
seen is what is learned. Looking changes no step: nothing random is drawn and nothing of the training is written to.
"""

import importlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from formats.errors import FormatError, MissingAsset
from formats.rotations import matrix_to_quat, quat_to_matrix
from trainers.metrics import pixels
from trainers.model import Batch, Drawing, Motion, View
from trainers.progress import Reading

SHARE = 0.25
"""Of the time that looking may take."""
MOVED, STILL = 0.05, 1.0
"""Seconds between two pictures while somebody moves something, and while nobody does."""
EXPRESSIONS = 12
"""Sliders of coefficients, strongest in the video first."""
JOINTS = (("jaw", 0, "jaw open", -0.1, 0.6), ("jaw", 1, "jaw sideways", -0.2, 0.2), ("neck", 0, "nod", -0.6, 0.6),
          ("neck", 1, "shake", -0.8, 0.8), ("neck", 2, "tilt", -0.5, 0.5))
"""Field of a motion, its number, what the slider is called, and its ends, radians."""
SIZES = ("256", "384", "512", "768", "1024")
LOSSES = 400
"""Rows of the log that are plotted."""


@dataclass(frozen=True)
class Eye:
    """Where somebody looks from: OpenCV axes, world."""

    position: np.ndarray
    wxyz: np.ndarray
    """Turns camera axes into the world's."""
    fov: float
    """Vertical, radians."""
    width: int
    height: int

    def view(self, like: Tensor) -> View:
        """Return the camera as models take it, on the device of `like`."""
        turn = quat_to_matrix(np.asarray(self.wxyz, np.float64)[None])[0].T
        viewmat = np.eye(4)
        viewmat[:3, :3], viewmat[:3, 3] = turn, -turn @ np.asarray(self.position, np.float64)
        f = self.height / (2 * np.tan(self.fov / 2))
        K = np.array([[f, 0, self.width / 2], [0, f, self.height / 2], [0, 0, 1]])
        return View(torch.tensor(viewmat).to(like), torch.tensor(K).to(like), self.width, self.height)


def picture(model: Any, store: Any, motion: Motion, eye: Eye) -> np.ndarray:
    """Return what the model shows, uint8 [H, W, 3], as tracked: without corrections of any frame."""
    view, background = eye.view(store.background), store.background
    nothing = torch.zeros((), device=background.device)
    with torch.no_grad():
        drawing: Drawing = model.render(Batch(0, "test", nothing, nothing, view, motion, background))
    return pixels(drawing.rgb.nan_to_num(0).clamp(0, 1))


class LiveView:
    """The page of one training."""

    def __init__(self, store: Any, names: tuple[str, ...], host: str = "127.0.0.1", port: int = 8765,
                 progress: Callable[[str], None] = lambda text: None) -> None:
        """Open the page.

        Args:
            store: The training frames.
            names: Of the expressions.
            host: Address to serve on; 0.0.0.0 lets other machines look.
            port: Where.
            progress: Is told the address.

        Raises:
            MissingAsset: viser is not installed.
            FormatError: The port is taken.
        """
        try:
            viser = importlib.import_module("viser")
        except ImportError as error:
            raise MissingAsset(f"--view needs viser: pip install 'flameport[train]' ({error})") from error
        try:
            self.server = viser.ViserServer(host=host, port=port, label="flameport", verbose=False)
        except OSError as error:
            raise FormatError(f"--port {port}: cannot be served on: {error}; choose another") from error
        if self.server.get_port() != port:
            taken = self.server.get_port()
            self.server.stop()
            raise FormatError(f"--port {port}: is taken ({taken} is free); choose another")
        self.store, self.names, self._uplot = store, names, importlib.import_module("viser.uplot")
        self._moved = threading.Event()
        self._last = self._spent = 0.0
        self._rows: list[tuple[int, float, float]] = []
        self._batch: Batch | None = None
        self._build()
        self.server.scene.set_up_direction("+y")
        self.server.on_client_connect(self._welcome)
        progress(f"watch the training: http://{'localhost' if host in ('127.0.0.1', '0.0.0.0') else host}:{port}")

    # --- The page -----------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        gui, frames = self.server.gui, len(self.store)
        self._state = gui.add_markdown("Waiting for the first step.")
        self._pause = gui.add_checkbox("Pause", False)
        with gui.add_folder("Frame"):
            self._follow = gui.add_checkbox("The one just trained", True)
            self._frame = gui.add_slider("Number", 0, max(frames - 1, 1), 1, 0)
            self._compared = gui.add_image(np.full((32, 96, 3), 245, np.uint8), label="Target, model, difference x 4",
                                           format="jpeg")
        with gui.add_folder("Camera"):
            self._size = gui.add_dropdown("Pixels", SIZES, initial_value="512")
            self._fov = gui.add_slider("Field of view", 5.0, 60.0, 0.5, float(np.rad2deg(self._first_eye().fov)))
            again = gui.add_button("The video's camera")
        spread = self.store.motion.expr.std(dim=0, correction=0)
        order = torch.argsort(spread, descending=True, stable=True)[:EXPRESSIONS].tolist()
        with gui.add_folder("Expression", expand_by_default=False):
            self._expressions = [(i, gui.add_slider(self.names[i], -3.0, 3.0, 0.05, 0.0)) for i in order]
        with gui.add_folder("Joints", expand_by_default=False):
            self._joints = [(field, i, gui.add_slider(words, low, high, 0.01, 0.0)) for field, i, words, low, high in JOINTS]
            self._gaze = gui.add_slider("gaze up", -0.4, 0.4, 0.01, 0.0), gui.add_slider("gaze sideways", -0.6, 0.6, 0.01, 0.0)
        self._losses, self._plot = gui.add_folder("Losses"), None
        for each in (self._follow, self._frame, self._size, *(s for _, s in self._expressions), *(s for *_, s in self._joints),
                     *self._gaze):
            each.on_update(lambda _: self._moved.set())
        self._fov.on_update(self._zoom)
        again.on_click(self._return)

    def _first_eye(self) -> Eye:
        viewmat, K = (np.asarray(t[0].cpu(), np.float64) for t in (self.store.viewmats, self.store.Ks))
        turn = viewmat[:3, :3].T
        fov = 2 * float(np.arctan(self.store.height / (2 * K[1, 1])))
        return Eye(-turn @ viewmat[:3, 3], matrix_to_quat(turn[None])[0], fov, self.store.width, self.store.height)

    def _place(self, client: Any) -> None:
        eye = self._first_eye()
        turn = quat_to_matrix(eye.wxyz[None])[0]
        with client.atomic():
            client.camera.position = eye.position
            # What it turns about: the middle of the head, as far as the camera is from the world's origin.
            client.camera.look_at = eye.position + turn[:, 2] * max(float(np.linalg.norm(eye.position)), 0.2)
            client.camera.up_direction = -turn[:, 1]
            client.camera.fov = float(np.deg2rad(self._fov.value))

    def _welcome(self, client: Any) -> None:
        self._place(client)
        client.camera.on_update(lambda _: self._moved.set())
        self._moved.set()

    def _return(self, _: Any) -> None:
        self._fov.value = float(np.rad2deg(self._first_eye().fov))
        for client in self.server.get_clients().values():
            self._place(client)

    def _zoom(self, _: Any) -> None:
        for client in self.server.get_clients().values():
            client.camera.fov = float(np.deg2rad(self._fov.value))
        self._moved.set()

    # --- While it trains ----------------------------------------------------------------------------------------------

    def note(self, step: int, reading: Reading) -> None:
        """Plot a row of the log."""
        self._rows = [*self._rows, (step, reading.loss, reading.psnr)][-LOSSES:]
        if len(self._rows) < 2:
            return
        steps, losses, psnr = (np.array(column, np.float64) for column in zip(*self._rows, strict=True))
        plots = ((steps, losses, "loss", "#b4541a"), (steps, psnr, "PSNR, dB", "#1a6ab4"))
        if self._plot is None:
            with self._losses:
                self._plot = [self.server.gui.add_uplot((x, y), (self._uplot.Series(label="step"),
                                                                 self._uplot.Series(label=name, stroke=color, width=2)),
                                                        title=name, aspect=1.6) for x, y, name, color in plots]
        else:
            for plot, (x, y, *_) in zip(self._plot, plots, strict=True):
                plot.data = (x, y)

    def look(self, model: Any, batch: Batch, step: int, steps: int, stop: object = False) -> None:
        """Draw what somebody looks at, if it is time; wait here while the page says so, and until `stop` is true."""
        self._batch = batch
        while True:
            if self.server.get_clients():
                now = time.perf_counter()
                wait = max(MOVED if self._moved.is_set() else STILL, self._spent * (1 / SHARE - 1))
                if now - self._last >= wait:
                    self._moved.clear()
                    self._show(model, step, steps)
                    self._last = time.perf_counter()
                    self._spent = self._last - now
            if stop or not self._pause.value:
                return
            time.sleep(MOVED)

    def _show(self, model: Any, step: int, steps: int) -> None:
        assert self._batch is not None
        index = self._batch.index if self._follow.value else int(self._frame.value)
        batch = self.store.batch(index)
        motion = self.motion(batch.motion)
        for client in self.server.get_clients().values():
            camera, height = client.camera, int(self._size.value)
            width = int(np.clip(round(height * camera.aspect), 16, 2 * height))
            eye = Eye(camera.position, camera.wxyz, camera.fov, width, height)
            client.scene.set_background_image(picture(model, self.store, motion, eye), format="jpeg", jpeg_quality=90)
        with torch.no_grad():
            drawn = model.render(replace(batch, split="train")).rgb.nan_to_num(0).clamp(0, 1)
        off = (4 * (drawn - batch.rgb).abs()).clamp(0, 1)
        self._compared.image = pixels(torch.cat([batch.rgb, drawn, off], dim=1))
        last = f", PSNR {self._rows[-1][2]:.2f} dB" if self._rows else ""
        self._state.content = f"**Step {step} of {steps}**{last}; frame {index}"

    def motion(self, tracked: Motion) -> Motion:
        """Return a frame's motion with what the sliders add."""
        expr, eyes = tracked.expr.clone(), tracked.eyes.clone()
        for index, slider in self._expressions:
            expr[index] += float(slider.value)
        fields = {name: getattr(tracked, name).clone() for name in ("jaw", "neck")}
        for name, i, slider in self._joints:
            fields[name][i] += float(slider.value)
        up, aside = (float(slider.value) for slider in self._gaze)
        for first in (0, 3):
            eyes[first] -= up
            eyes[first + 1] += aside
        return replace(tracked, expr=expr, eyes=eyes, **fields)

    def close(self) -> None:
        """Take the page down."""
        self.server.stop()
