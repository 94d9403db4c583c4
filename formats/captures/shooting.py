"""Taking a film's moments one by one, each drawn and stored by the same thread, two at a time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from formats.captures.shots import Film, Shot, Take

THREADS = 2
"""Drawing and compressing leave the interpreter to each other; more threads wait for it."""
REPORTS = 10
"""Lines of progress of a film."""
Kept = TypeVar("Kept")


def shoot(film: Film, keep: Callable[[Take, int, Shot], Kept], progress: Callable[[str], None]) -> list[list[Kept]]:
    """Draw every moment of `film` and return what `keep(take, index, shot)` makes of them, a list per take, in order.

    Args:
        film: What is filmed.
        keep: Stores one shot. It runs in a thread, beside another one's.
        progress: Is told about every tenth of the film, from the caller's thread.

    What `keep`, `shoot` or `progress` raises comes out of here after the moments under way are finished.
    """
    moments = [(take, index) for take in film.takes for index in range(len(take.sequence))]
    kept: list[list[Kept]] = [[] for _ in film.takes]
    places = [k for k, take in enumerate(film.takes) for _ in range(len(take.sequence))]

    def take_one(moment: tuple[Take, int]) -> Kept:
        take, index = moment
        return keep(take, index, take.shoot(index))

    pool = ThreadPoolExecutor(THREADS)
    try:
        results = pool.map(take_one, moments)
        for done, (place, result) in enumerate(zip(places, results, strict=True), start=1):
            kept[place].append(result)
            if done * REPORTS // len(moments) > (done - 1) * REPORTS // len(moments):
                progress(f"filmed {done} of {len(moments)} frames")
    finally:
        # Nobody may write any more when the folder is put in place or removed.
        pool.shutdown(wait=True, cancel_futures=True)
    return kept
