"""Time the Unity package's kernels on Mesa's CPU driver, and count what they keep on the card.

`scripts/benchmark unity` calls it. There is no graphics card here, so times say only how a kernel grows with the Gaussians:
each is given as a ratio to its time at 20 000.
"""

import os
import time
from collections.abc import Callable

from formats.codecs.packed_texels import pack
from formats.render import RenderOptions, default_camera
from formats.standin.avatar import standin_avatar
from unity_sample.ci import kernels
from unity_sample.ci.pictures import picture_of
from unity_sample.ci.player import Player

COUNTS = (20_000, 60_000, 150_000)
MOMENT, SIZE = 118, 512
TEMPORARY = 4
"""Words a Gaussian of the sort: keys and numbers, twice."""


def best(work: Callable[[], object], rounds: int) -> float:
    """Return the shortest of some runs, seconds; the first pays for compiling and does not count."""
    times = []
    probe = kernels.empty(16)
    for _ in range(rounds + 1):
        start = time.perf_counter()
        work()
        kernels.download(probe, "u4")  # waits for all that was submitted
        times.append(time.perf_counter() - start)
    return min(times[1:])


def steps_of(player: Player, size: int) -> dict[str, Callable[[], object]]:
    """Return the parts of a frame by name, in the order in which they need one another."""
    def pose_splats() -> None:
        player.dispatch("PoseSplats", 1, player.records.total)

    def ordered(bits: int) -> Callable[[], object]:
        def run() -> object:
            player.project()
            return player.order(bits)
        return run

    vertices = len(player.avatar.head.v_template)
    player.project()
    order = player.order()
    return {"PoseVertices": lambda: player.dispatch("PoseVertices", 0, vertices), "PoseSplats": pose_splats,
            "ProjectSplats": player.project, "ProjectSplats and sort, 16 bits": ordered(16),
            "ProjectSplats and sort, 32 bits": ordered(32),
            f"draw, {size} x {size}": lambda: picture_of(player, order, size, size)}


def measure(rounds: int = 15) -> list[dict[str, object]]:
    """Return rows: milliseconds at 20 000 Gaussians, ratios to that at others, bytes a Gaussian."""
    rows: list[dict[str, object]] = []
    first: dict[str, float] = {}
    for count in COUNTS:
        avatar = standin_avatar(count)
        assert avatar.sequence is not None
        packed = pack(avatar, "half")
        player = Player(packed)
        player.look(avatar.sequence.sample(MOMENT), default_camera(avatar, SIZE, SIZE), RenderOptions())
        player.pose()
        note = f"lavapipe: a CPU driver, no card; best of {rounds}; load of the machine {os.getloadavg()[0]:.0f}"
        for name, work in steps_of(player, SIZE).items():
            if name == "PoseVertices" and count != COUNTS[0]:
                continue  # the head is the same
            seconds = best(work, rounds)
            if count == COUNTS[0]:
                first[name] = seconds
                rows.append({"what": f"unity stand-in, {count} Gaussians, {name}", "value": round(1e3 * seconds, 2), "unit": "ms",
                             "note": note})
            else:
                rows.append({"what": f"unity stand-in, {count} Gaussians, {name}", "value": round(seconds / first[name], 2),
                             "unit": f"times {COUNTS[0]}", "note": note})
        tables = sum(t["rows"] * 2048 * 16 for t in packed.descriptor["tables"] if t["name"].startswith("layer0."))
        made = sum(player.buffers[name].size for name in ("_World", "_Ellipses", "_Keys")) + 4 * (TEMPORARY - 1) * count
        rows.append({"what": f"unity stand-in, {count} Gaussians, on the card", "value": round((tables + made) / count, 1),
                     "unit": "bytes a Gaussian", "note": f"tables {tables / count:.0f}, what kernels write {made / count:.0f}"})
    return rows
