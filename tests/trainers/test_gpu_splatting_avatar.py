"""A SplattingAvatar training step on a CUDA device: graphs give the numbers of kernels, walks included."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("gsplat")

from tests.builders import tiny_head  # noqa: E402
from tests.trainers.gpu import ON_A_GPU, compare_graphs  # noqa: E402
from tests.trainers.test_fate import step, video  # noqa: E402
from tests.trainers.test_splatting_avatar import SMALL, sheet  # noqa: E402
from trainers.frame_store import FrameStore  # noqa: E402
from trainers.splatting_avatar import Model  # noqa: E402
from trainers.splatting_avatar.embedding import Neighbours, walk  # noqa: E402

pytestmark = ON_A_GPU


@pytest.mark.parametrize("way", ["paper", "released"])
def test_steps_by_graphs_are_steps_by_kernels(way: Any, tmp_path: Path, no_warnings: None) -> None:
    """Walks at steps 4 and 8 write into what the graph reads."""
    config = dataclasses.replace(SMALL, walk=way, lr_uvd=1e-2)
    store = FrameStore(video(tmp_path), device="cuda")
    models = compare_graphs(lambda graph: Model(dataclasses.replace(config, cuda_graph=graph), tiny_head(identity=True), store),
                            store, 10, 45)
    assert all(bool(model.crossings) == (way == "paper") for model in models)


def test_gaussians_come_and_go(tmp_path: Path, no_warnings: None) -> None:
    config = dataclasses.replace(SMALL, densify_every=4, densify_from=2, densify_gradient=0.0, densify_limit=600,
                                 split_size=0.05, prune_from=0, prune_radius=1000.0, reset_every=7)
    store = FrameStore(video(tmp_path), device="cuda")
    model = Model(config, tiny_head(identity=True), store)
    losses = [step(model, store, number) for number in range(1, 11)]
    assert np.isfinite(losses).all() and 500 < len(model) <= 600 and model.radii.any()
    assert model.barycentric.min() >= 0


def test_walks_are_a_cpus() -> None:
    _, faces = sheet()
    rng = torch.Generator().manual_seed(4)
    face = torch.randint(len(faces), (500,), generator=rng)
    weights = torch.rand(500, 3, generator=rng, dtype=torch.float64)
    weights = weights / weights.sum(dim=1, keepdim=True)
    way = torch.randn(500, 3, generator=rng, dtype=torch.float64)
    way = way - way.mean(dim=1, keepdim=True)
    found = []
    for device in ("cpu", "cuda"):
        there = walk(Neighbours.of(faces.to(device)), *(value.to(device) for value in (face, weights, way)))
        found.append([value.cpu() for value in there])
    assert torch.equal(found[0][0], found[1][0]) and torch.equal(found[0][2], found[1][2])
    torch.testing.assert_close(found[0][1], found[1][1])
