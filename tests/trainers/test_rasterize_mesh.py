"""The door to mesh rasterisers: what a pixel sees is the definition's, and gradients are those of finite differences."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("numba")

import torch  # noqa: E402

from formats.camera import Camera, look_at  # noqa: E402
from formats.errors import MissingAsset  # noqa: E402
from formats.rasterize import nearest_triangles  # noqa: E402
from formats.render import intrinsics_of, to_camera  # noqa: E402
from formats.standin.head import standin_head  # noqa: E402
from trainers.model import View  # noqa: E402
from trainers.rasterize_mesh import BACKENDS, default_backend, rasterize_mesh  # noqa: E402

CAMERAS = {
    "front": look_at((0, 0, 0.95), (0, 0, 0), np.deg2rad(20), 120, 120),
    "side, wider than high": look_at((0.6, 0.25, 0.5), (0, 0.01, 0), np.deg2rad(24), 151, 97),
    "crossing the near plane": look_at((0.0, 0.0, 0.3), (0.02, 0.01, 0), np.deg2rad(60), 90, 110),
}


def view_of(camera: Camera, device: str = "cpu") -> View:
    """Return the camera as trainers have it."""
    return View(torch.tensor(np.asarray(camera.world_to_camera), dtype=torch.float32, device=device),
                torch.tensor(np.asarray(camera.K), dtype=torch.float32, device=device), camera.width, camera.height)


def head_mesh(device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
    """Return the stand-in's vertices and faces."""
    head = standin_head("open-mouth")
    return torch.tensor(head.v_template, dtype=torch.float32, device=device), torch.tensor(head.faces, device=device).long()


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
def test_definition(camera: Camera) -> None:
    vertices, faces = head_mesh()
    found = rasterize_mesh(vertices, faces, view_of(camera))
    face, weights = nearest_triangles(to_camera(vertices.numpy(), camera), faces.numpy().astype(np.int32), intrinsics_of(camera),
                                      0.2, camera.width, camera.height)
    # Vertices go into the camera in single precision: a pixel on an edge may see the neighbour.
    same = found.face_index.numpy() == face
    assert same.mean() > 0.999
    seen = same & (face >= 0)
    assert seen.sum() > 1000
    np.testing.assert_allclose(found.barycentric.numpy()[seen], weights[seen], atol=2e-3)
    points = found.interpolate(vertices, faces).numpy()[seen]
    expected = np.einsum("pi,pic->pc", weights[seen], vertices.numpy()[faces.numpy()[face[seen]]])
    np.testing.assert_allclose(points, expected, atol=2e-6)
    depth = to_camera(expected, camera)[:, 2]
    np.testing.assert_allclose(found.depth.numpy()[seen], depth, atol=2e-6)


def test_gradients_are_those_of_finite_differences() -> None:
    camera = CAMERAS["front"]
    view = View(torch.tensor(np.asarray(camera.world_to_camera)), torch.tensor(np.asarray(camera.K)), camera.width, camera.height)
    vertices = torch.tensor([[-0.05, -0.04, 0.0], [0.06, -0.05, 0.03], [0.0, 0.07, -0.02]], requires_grad=True)
    faces, colors = torch.tensor([[0, 1, 2]]), torch.tensor([[1.0, 0.2], [0.1, 0.9], [0.4, 0.5]])
    found = rasterize_mesh(vertices, faces, view)
    inner = found.barycentric.min(dim=2).values > 0.02
    weights = torch.linspace(0.5, 1.5, inner.numel()).reshape(inner.shape) * inner

    def loss(moved: torch.Tensor) -> torch.Tensor:
        drawn = rasterize_mesh(moved, faces, view)
        return (drawn.interpolate(colors, faces).sum(dim=2) * weights).sum() + (drawn.depth * weights).sum()

    loss(vertices).backward()
    step = 2e-4
    for corner in range(3):
        for axis in range(3):
            nudge = torch.zeros_like(vertices)
            nudge[corner, axis] = step
            with torch.no_grad():
                slope = (loss(vertices + nudge) - loss(vertices - nudge)) / (2 * step)
            assert vertices.grad is not None
            assert float(vertices.grad[corner, axis]) == pytest.approx(float(slope), rel=0.01, abs=0.5)


def test_nothing_in_sight() -> None:
    vertices, faces = head_mesh()
    found = rasterize_mesh(vertices + torch.tensor([0, 0, 5.0]), faces, view_of(CAMERAS["front"]))
    assert (found.face_index == -1).all() and (found.barycentric == 0).all() and (found.depth == 0).all()


def test_cpu_draws_with_our_own_and_others_say_what_is_missing() -> None:
    assert default_backend(torch.device("cpu")) == "cpu"
    vertices, faces = head_mesh()
    for name, backend in BACKENDS.items():
        if backend.package is not None and default_backend(torch.device("cuda")) not in (name, "nvdiffrast"):
            with pytest.raises(MissingAsset, match=f"{name} is not installed"):
                rasterize_mesh(vertices, faces, view_of(CAMERAS["front"]), backend=name)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", [name for name in BACKENDS if name != "cpu"])
@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
def test_other_backends_see_what_ours_sees(name: str, camera: Camera) -> None:
    package = BACKENDS[name].package
    assert package is not None
    pytest.importorskip(package)
    vertices, faces = head_mesh("cuda")
    ours, theirs = (rasterize_mesh(vertices, faces, view_of(camera, "cuda"), backend=each) for each in ("cpu", name))
    # Where triangles are as small as pixels, a grid of subpixels or another rounding may show the neighbour.
    alike = ((ours.face_index >= 0) == (theirs.face_index >= 0)) & ((ours.depth - theirs.depth).abs() < 1e-3)
    whole = camera is not CAMERAS["crossing the near plane"]
    # PyTorch3D leaves out triangles that cross the near plane; the few pixels that they cover see what is behind.
    assert float(alike.float().mean()) > (0.998 if whole else 0.97)
    same = ours.face_index == theirs.face_index
    assert float(same.float().mean()) > 0.97
    both = same & (ours.face_index >= 0)
    assert float((ours.barycentric - theirs.barycentric)[both].abs().max()) < 1e-5
