"""What tests of trainers on a CUDA device share."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from formats.render import psnr
from tests.trainers.test_fate import step

ON_A_GPU = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.filterwarnings("default"),  # gsplat builds itself on first use
]


def compare_graphs(make: Callable[[bool], Any], store: Any, steps: int, decibels: float) -> list[Any]:
    """Return four models that took as many steps: three by kernels, the last by graphs; its losses and picture are theirs.

    gsplat adds gradients up in no fixed order, so runs by kernels differ too: graphs may differ from them by 1e-5, or by ten
    times as much as three of them do.

    Args:
        make: Makes the model anew, with `cuda_graph` as it is told.
        store: The frames.
        steps: From 1.
        decibels: That the pictures after them have to agree by.
    """
    models, losses, pictures = [], [], []
    for graph in (False, False, False, True):
        torch.manual_seed(0)
        model = make(graph)
        models.append(model)
        losses.append([step(model, store, number) for number in range(1, steps + 1)])
        with torch.no_grad():
            pictures.append(model.render(store.batch(1)).rgb.cpu().numpy())
    plain, again, more, replayed = (np.array(found) for found in losses)
    noise = np.maximum(np.abs(again / plain - 1), np.abs(more / plain - 1))
    off = np.abs(replayed / plain - 1)
    print(f"largest relative difference of a loss: {noise.max():.1e} between runs by kernels, {off.max():.1e} by graphs")
    assert off.max() <= max(1e-5, 10 * noise.max())
    assert psnr(pictures[-1], pictures[0]) > decibels
    return models
