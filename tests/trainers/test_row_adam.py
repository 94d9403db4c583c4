"""`RowAdam`: SparseAdam's numbers, its state, its checkpoints."""

import copy
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from trainers.row_adam import RowAdam  # noqa: E402

DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA device")])]


def tables(kind: Any, device: str = "cpu") -> tuple[list[Any], Any]:
    """Return two tables of 6 rows and an optimiser of them."""
    rng = torch.Generator().manual_seed(1)
    made = [torch.nn.Parameter(torch.randn(6, width, generator=rng).to(device)) for width in (4, 7)]
    return made, kind([{"params": [table], "lr": rate} for table, rate in zip(made, (0.1, 0.02), strict=True)])


def see(made: list[Any], optimizer: Any, rows: list[int], number: int) -> None:
    """Take a step on a loss of `rows`."""
    optimizer.zero_grad(set_to_none=True)
    index = torch.tensor(rows, device=made[0].device)
    seen = [torch.nn.functional.embedding(index, table, sparse=True) for table in made]
    torch.stack([(rows.sin() * (1 + number)).sum() for rows in seen]).sum().backward()
    optimizer.step()


STEPS = [[0], [3], [0], [5], [3], [2, 4], [1, 1, 4], [0]]


@pytest.mark.parametrize("device", DEVICES)
def test_the_numbers_are_sparse_adams(device: str) -> None:
    ours, adam = tables(RowAdam, device)
    theirs, sparse = tables(torch.optim.SparseAdam)
    for number, rows in enumerate(STEPS):
        if number == 4:
            for optimizer in (adam, sparse):
                optimizer.param_groups[0]["lr"] *= 0.5
        see(ours, adam, rows, number)
        see(theirs, sparse, rows, number)
        exact = device == "cpu"
        for a, b in zip(ours, theirs, strict=True):
            for x, y in ((a, b), *((adam.state[a][k], sparse.state[b][k]) for k in ("exp_avg", "exp_avg_sq"))):
                torch.testing.assert_close(x.detach().cpu(), y.detach(), rtol=0 if exact else 1e-6, atol=0 if exact else 1e-7)
            assert adam.state[a]["step"] == sparse.state[b]["step"]


@pytest.mark.parametrize("device", DEVICES)
def test_it_goes_on_from_a_sparse_adams_state(device: str) -> None:
    theirs, sparse = tables(torch.optim.SparseAdam)
    for number, rows in enumerate(STEPS[:4]):
        see(theirs, sparse, rows, number)
    ours, adam = tables(RowAdam, device)
    see(ours, adam, [2], 9)  # of a life before
    with torch.no_grad():
        for a, b in zip(ours, theirs, strict=True):
            a.copy_(b)
    adam.load_state_dict(copy.deepcopy(sparse.state_dict()))
    for number, rows in enumerate(STEPS[4:]):
        see(ours, adam, rows, number)
        see(theirs, sparse, rows, number)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.detach().cpu(), b.detach(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("device", DEVICES)
def test_whole_tables_are_adams(device: str) -> None:
    ours, adam = tables(lambda groups: RowAdam(groups, eps=1e-15, whole=True), device)
    theirs, plain = tables(lambda groups: torch.optim.Adam(groups, eps=1e-15))
    for number, rows in enumerate(STEPS):
        see(ours, adam, rows, number)
        plain.zero_grad()
        index = torch.tensor(rows)
        torch.stack([(table[index].sin() * (1 + number)).sum() for table in theirs]).sum().backward()
        plain.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.detach().cpu(), b.detach(), rtol=1e-5, atol=1e-6)


def test_dense_gradients_are_refused() -> None:
    made, adam = tables(RowAdam)
    made[0].sum().backward()
    with pytest.raises(RuntimeError, match="sparse"):
        adam.step()
