"""Posing on CUDA: the same numbers as `formats.deform`, without waiting for the device, and as a graph."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from formats import deform as d  # noqa: E402
from formats.standin.clip import standin_clip  # noqa: E402
from formats.standin.head import standin_head  # noqa: E402
from tests.builders import face_binding, skin_binding, tiny_head, tiny_sequence  # noqa: E402
from trainers.cuda_graph import graphed  # noqa: E402
from trainers.deform import TorchFaceBinding, TorchHead, torch_binding  # noqa: E402
from trainers.model import Motion  # noqa: E402

FIELDS = ("expr", "rotation", "neck", "jaw", "eyes", "eyelids", "translation")
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def motion_of(frame, device: str) -> Motion:
    return Motion(**{name: torch.tensor(getattr(frame, name)[0], dtype=torch.float32, device=device) for name in FIELDS})


def values(n: int, device: str, seed: int = 0) -> tuple:
    generator = torch.Generator().manual_seed(seed)
    made = [torch.randn(n, 3, generator=generator), torch.randn(n, 4, generator=generator),
            torch.rand(n, 3, generator=generator) + 0.1]
    return tuple(torch.nn.Parameter(value.to(device)) for value in made)


def riding(head: TorchHead, n: int) -> TorchFaceBinding:
    return torch_binding(face_binding(head.model, n, offset_scale="double_area"), head)


def test_on_a_cpu_a_function_stays_itself() -> None:
    def function(a):
        return (a,)

    assert graphed(function, (torch.ones(1),)) is function


@pytest.mark.gpu
@on_gpu
def test_the_stand_in_on_cuda() -> None:
    model = standin_head("open-mouth")
    clip, head = standin_clip(model), TorchHead(model).cuda()
    for t in (0.0, 60.0, 140.0, 175.0):
        ours = head.pose(motion_of(clip.sample(t), "cuda"))
        np.testing.assert_allclose(ours.vertices.cpu(), d.deform_head(model, clip.sample(t)).vertices, atol=1e-5)


@pytest.fixture
def no_waiting() -> Iterator[None]:
    """Let torch raise when something waits for the device."""
    yield
    torch.cuda.set_sync_debug_mode("default")


BINDINGS = {
    "face": lambda head: face_binding(head, 30, offset_scale="double_area"),
    "vertex": lambda head: face_binding(head, 30, frame="vertex", splat_scale="log_area_ratio"),
    "corner": lambda head: face_binding(head, 30, frame="corner", offset_scale="none", splat_scale="none"),
    "none": lambda head: face_binding(head, 30, frame="none", offset_scale="none", splat_scale="none"),
    "skin": lambda head: skin_binding(head, 30, leak=0.2, rotation="skin"),
}


@pytest.mark.gpu
@on_gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@pytest.mark.parametrize("kind", BINDINGS)
def test_nothing_waits_for_the_device(kind: str, no_waiting: None) -> None:
    head = TorchHead(tiny_head()).cuda()
    binding = torch_binding(BINDINGS[kind](head.model), head)
    motion, local = motion_of(tiny_sequence(head.model, 3).sample(1), "cuda"), values(30, "cuda")
    offset = torch.zeros(110, 3, device="cuda", requires_grad=True)
    for mode in ("default", "error"):  # libraries set themselves up in the first round
        torch.cuda.set_sync_debug_mode(mode)
        bound = binding.bind(head.pose(motion, offset), *local)
        torch.autograd.backward(bound, [torch.ones_like(value) for value in bound])


@pytest.mark.gpu
@on_gpu
def test_a_graph_gives_the_numbers_and_gradients_of_the_plain_calls() -> None:
    """Over several frames, with optimiser-like changes in place, and again after the number of Gaussians changed."""
    model = tiny_head()
    head, clip = TorchHead(model).cuda(), tiny_sequence(model, 6)
    shapes = ((110, 3), model.exprdirs.shape, (110, 3, 36))
    deltas = tuple(torch.nn.Parameter(0.001 * torch.randn(shape, device="cuda")) for shape in shapes)
    for n in (40, 55):
        binding, local = riding(head, n), values(n, "cuda", n)

        def plain(*tensors, binding=binding):
            posed = head.pose(Motion(**dict(zip(FIELDS, tensors, strict=False))), *tensors[7:10])
            return *binding.bind(posed, *tensors[10:]), posed.vertices

        rows = {name: torch.tensor(getattr(clip, name), device="cuda") for name in FIELDS}
        before = {name: value.clone() for name, value in rows.items()}
        refined = {"jaw"}

        def arguments(t, deltas=deltas, local=local, rows=rows, refined=refined):
            motion = [rows[name][t] for name in FIELDS]
            return (*(value.detach().requires_grad_(name in refined) for name, value in zip(FIELDS, motion, strict=True)),
                    *deltas, *local)

        fast = graphed(plain, arguments(0))
        for t in range(6):
            results = []
            for function in (plain, fast):
                given = arguments(t)
                out = function(*given)
                for value in (*deltas, *local):
                    value.grad = None
                torch.autograd.backward(out, [torch.cos(torch.arange(v.numel(), device="cuda")).view_as(v) for v in out])
                wanted = [given[FIELDS.index("jaw")], *deltas, *local]
                results.append([*(v.detach().clone() for v in out), *(v.grad.clone() for v in wanted)])
            for ours, theirs in zip(*results, strict=True):
                scale = float(theirs.abs().max()) + 1e-6
                np.testing.assert_allclose(ours.cpu() / scale, theirs.cpu() / scale, atol=2e-5)
            with torch.no_grad():
                for value in (*deltas, *local):
                    value.add_(value.grad, alpha=-1e-4)
        for name in FIELDS:
            assert torch.equal(rows[name], before[name])


@pytest.mark.gpu
@on_gpu
def test_cuda_gradients_are_those_of_the_cpu() -> None:
    model = dataclasses.replace(tiny_head(), eyelid_space="posed")
    gathered = []
    for device in ("cpu", "cuda"):
        head, local = TorchHead(model).to(device), values(60, device)
        offset = torch.zeros(110, 3, device=device, requires_grad=True)
        bound = riding(head, 60).bind(head.pose(motion_of(tiny_sequence(model, 3).sample(1), device), offset), *local)
        torch.autograd.backward(bound, [torch.ones_like(value) for value in bound])
        gathered.append([offset.grad.cpu(), *(value.grad.cpu() for value in local)])
    for ours, theirs in zip(*gathered, strict=True):
        np.testing.assert_allclose(ours / theirs.abs().max(), theirs / theirs.abs().max(), atol=1e-4)
