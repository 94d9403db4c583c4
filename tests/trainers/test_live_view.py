"""The page beside a training: what it draws, what its sliders do, and that looking changes nothing."""

import dataclasses
import socket
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("numba")
pytest.importorskip("viser")

from formats.camera import look_at  # noqa: E402
from formats.deform import deform  # noqa: E402
from formats.errors import FormatError  # noqa: E402
from formats.picture import psnr  # noqa: E402
from formats.render import RenderOptions, render  # noqa: E402
from formats.rotations import matrix_to_quat  # noqa: E402
from tests.trainers.test_fate import SMALL, head_of, video  # noqa: E402
from trainers.fate_avatar import Model  # noqa: E402
from trainers.frame_store import FrameStore  # noqa: E402
from trainers.live_view import Eye, LiveView, picture  # noqa: E402
from trainers.loop import advance  # noqa: E402
from trainers.progress import Meter, Reading  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FrameStore:
    return FrameStore(video(tmp_path_factory.mktemp("ball")))


@pytest.fixture
def page(store: FrameStore) -> Any:
    live = LiveView(store, head_of().expr_names, port=free_port())
    yield live
    live.close()


def made(store: FrameStore) -> Any:
    torch.manual_seed(0)
    return Model(SMALL, head_of(), store)


def eye_of(camera: Any) -> Eye:
    matrix = np.asarray(camera.world_to_camera)
    fov = 2 * float(np.arctan(camera.height / (2 * camera.K[1, 1])))
    return Eye(camera.position, matrix_to_quat(matrix[None, :3, :3].transpose(0, 2, 1))[0], fov, camera.width, camera.height)


class Client:
    """Somebody who looks: what the page asks of a viser client."""

    def __init__(self, eye: Eye) -> None:
        self.camera = SimpleNamespace(position=eye.position, wxyz=eye.wxyz, fov=eye.fov, aspect=eye.width / eye.height)
        self.pictures: list[np.ndarray] = []
        self.scene = SimpleNamespace(set_background_image=lambda image, **_: self.pictures.append(image))


def test_it_draws_what_the_avatar_is(store: FrameStore) -> None:
    model, camera = made(store), look_at((0.2, 0.05, 0.5), (0, 0, 0), 0.5, 64, 48)
    batch = store.batch(1)
    avatar = dataclasses.replace(model.to_avatar(), sequence=store.frames.sequence)
    assert avatar.sequence is not None
    expected = render(deform(avatar, avatar.sequence, 1), camera, RenderOptions()).rgb
    drawn = picture(model, store, batch.motion, eye_of(camera)) / 255
    assert psnr(drawn, np.clip(expected, 0, 1)) > 45


def test_sliders_move_the_face(page: LiveView, store: FrameStore) -> None:
    tracked = store.batch(0).motion
    assert page.motion(tracked).expr.tolist() == tracked.expr.tolist()
    (index, slider), (field, number, joint) = page._expressions[0], page._joints[0]
    slider.value, joint.value, page._gaze[0].value = 1.5, 0.25, 0.2
    moved = page.motion(tracked)
    assert float(moved.expr[index] - tracked.expr[index]) == pytest.approx(1.5)
    assert field == "jaw" and float(moved.jaw[number] - tracked.jaw[number]) == pytest.approx(0.25, abs=1e-6)
    assert (moved.eyes - tracked.eyes).tolist() == pytest.approx([-0.2, 0, 0, -0.2, 0, 0], abs=1e-6)


def test_looking_changes_no_step(page: LiveView, store: FrameStore, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(eye_of(look_at((0, 0, 0.6), (0, 0, 0), 0.5, 80, 60)))
    monkeypatch.setattr(page.server, "get_clients", lambda: {0: client})
    states = []
    for live in (None, page):
        model, meter = made(store), Meter()
        for step in range(1, 5):
            torch.manual_seed(step)
            batch = store.batch(step % len(store))
            advance(model, batch, model.optimizers(), meter, step)
            if live is not None:
                live._last = live._spent = 0.0
                live.look(model, batch, step, 4)
                live.note(step, Reading(1.0 / step, {}, 20.0 + step, None))
        states.append(model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert len(client.pictures) == 4 and client.pictures[-1].shape == (512, 683, 3)
    assert np.ptp(client.pictures[-1]) > 100
    assert "Step 4 of 4" in page._state.content and page._plot is not None and len(page._plot[0].data[0]) == 4


def test_a_pause_ends_when_the_training_is_stopped(page: LiveView, store: FrameStore) -> None:
    page._pause.value = True
    page.look(made(store), store.batch(0), 1, 2, stop=[15])


def test_a_port_that_is_taken(page: LiveView, store: FrameStore) -> None:
    port = page.server.get_port()
    with pytest.raises(FormatError, match=f"--port {port}"):
        LiveView(store, head_of().expr_names, port=port)
