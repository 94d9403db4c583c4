"""Taking a film's moments one by one, each drawn and stored by the same worker: two threads, or more processes."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from formats.captures.shots import Film, Shot, Take
from formats.rasterize import cores

THREADS = 2
"""Drawing and compressing leave the interpreter to each other; more threads wait for it."""
CORES = 3
"""That one process keeps busy; with at least two times as many, moments are shared among processes."""
REPORTS = 10
"""Lines of progress of a film."""
Kept = TypeVar("Kept")


def shoot(film: Film, keep: Callable[[Take, int, Shot], Kept], progress: Callable[[str], None]) -> list[list[Kept]]:
    """Draw every moment of `film` and return what `keep(take, index, shot)` makes of them, a list per take, in order.

    Args:
        film: What is filmed.
        keep: Stores one shot. It runs in a thread, beside another one's, or in a process of its own.
        progress: Is told about every tenth of the film, from the caller's thread.

    What `keep`, `shoot` or `progress` raises comes out of here after the moments under way are finished.
    """
    moments = [(k, index) for k, take in enumerate(film.takes) for index in range(len(take.sequence))]
    kept: list[list[Kept]] = [[] for _ in film.takes]
    places = [k for k, _ in moments]

    def take_one(moment: tuple[int, int]) -> Kept:
        take, index = film.takes[moment[0]], moment[1]
        return keep(take, index, take.shoot(index))

    with _workers(take_one, moments) as results:
        for done, (place, result) in enumerate(zip(places, results, strict=True), start=1):
            kept[place].append(result)
            if done * REPORTS // len(moments) > (done - 1) * REPORTS // len(moments):
                progress(f"filmed {done} of {len(moments)} frames")
    return kept


@contextmanager
def _workers(work: Callable[[Any], Kept], items: list[Any]) -> Iterator[Iterator[Kept]]:
    """Give the results of `work` for each item, in order; nobody works any more when the block ends."""
    count = cores() // CORES
    if count >= 2 and "fork" in multiprocessing.get_all_start_methods():
        global _work
        _work = work
        pool = multiprocessing.get_context("fork").Pool(min(count, 8))
        try:
            yield pool.imap(_call, items)
        finally:
            # Nobody may write any more when the folder is put in place or removed.
            pool.terminate()
            pool.join()
        return
    threads = ThreadPoolExecutor(THREADS)
    try:
        yield threads.map(work, items)
    finally:
        threads.shutdown(wait=True, cancel_futures=True)


_work: Callable[[Any], Any] = str
"""What forked processes do; a film's closures cannot be sent to them."""


def _call(item: Any) -> Any:
    return _work(item)
