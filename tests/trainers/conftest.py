"""What tests of trainers share."""

import importlib
import warnings
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Pictures this small are drawn faster by one thread than by several that wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def no_warnings() -> Iterator[None]:
    """Fail on warnings, once gsplat has set itself up."""
    importlib.import_module("gsplat.cuda._backend")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
