"""A network that moves Gaussians becomes tables and a small coefficient function: linear dynamics, which any phone plays.

The network's answers over a clip are a matrix of frames by numbers; its singular value decomposition, weighted by what shows in a
picture, gives the directions that matter and their coefficients, and a function is fitted from what drives the network to those.
Frames that took no part choose the rank: the smallest at which pictures are as near the network's as asked. Only the matrix of
frames by frames is decomposed (the "method of snapshots": Sirovich, Quarterly of Applied Mathematics 1987), because there are
hundreds of frames and millions of numbers; so nothing needs to be random.

    made = linearise(avatar, clip)
    made.avatar      # plays without a network
    made.rows()      # what it lost and saved
"""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from exporter.ops import coefficient_fit, network_samples
from exporter.ops.network_samples import Progress, Samples
from formats import byte_tables
from formats.avatar import Avatar, LinearDynamics, SplatLayer, check_driver
from formats.camera import Camera
from formats.deform import deform_head, deltas_of, driver_beyond, space_of
from formats.errors import FormatError, UnsupportedFeature
from formats.framing import default_camera
from formats.render import psnr, render_avatar
from formats.sequence import Sequence

RANKS = (8, 16, 24, 32, 48, 64)
FEWEST = 24
"""Frames that a clip must have: some to learn from, some to choose with, some to report on."""
MEMORY = 768 << 20
"""Bytes of a network's answers that are held; fewer frames are looked at where there are many Gaussians."""
MOST_FRAMES, CHECKS, PICTURES = 400, 30, 6
MARGIN = 1.0
"""Decibels beyond the target that the choosing frames ask for, because another clip is a little farther away."""
NOTHING = 1e-10
"""Share of the energy below which a coefficient is rounding."""
BARELY = 0.02
"""Of the width of a driving number's range: nobody needs to hear that a clip leaves it by less."""
QUIET = {"means": 1e-7, "rotvecs": 1e-5, "log_scales": 1e-5, "opacity_logits": 1e-4, "rgb": 1e-5}
"""A channel whose largest change is smaller does not move."""


@dataclass(frozen=True)
class Options:
    """How a network becomes linear dynamics."""

    decibels: float = 40.0
    """How near pictures must be to the network's: PSNR of the whole picture on white."""
    rank: int | None = None
    """How many coefficients; the smallest of 8 to 64 that is near enough when absent."""
    bits: int = 8
    """Of the tables' numbers: 8, or 32 for float32."""
    frames: int = MOST_FRAMES
    """Frames to learn from and to choose with, at most; half of them are mixtures of the clip's."""
    size: int = 256
    """Pixels each way of the pictures that are compared."""

    def __post_init__(self) -> None:
        if self.bits not in (8, 32):
            raise UnsupportedFeature(f"linearise: tables of {self.bits} bits; expected 8 or 32")
        if self.rank is not None and not 1 <= self.rank <= 256:
            raise UnsupportedFeature(f"linearise: rank {self.rank}; expected 1..256")
        if not 10 <= self.decibels <= 90 or not 16 <= self.size <= 2048 or self.frames < FEWEST:
            raise UnsupportedFeature(f"linearise: {self.decibels} dB of {self.size} pixels over {self.frames} frames; expected "
                                     f"10..90, 16..2048 and at least {FEWEST}")


@dataclass(frozen=True)
class LayerReport:
    """What became of one layer."""

    name: str
    rank: int
    energy: float
    """Share of the weighted energy that the tables hold, before the coefficients are fitted."""
    hidden: int
    """Numbers in the function's hidden layer; 0: ridge regression alone."""
    numbers: int
    channels: tuple[str, ...]
    bytes: int
    """Of tables as stored, scales included, and the function."""
    gaussians: int
    network_bytes: int
    milliseconds: float
    network_milliseconds: float


@dataclass(frozen=True, eq=False)
class Linearised:
    """The avatar without the networks that moved its layers, and how near it is."""

    avatar: Avatar
    layers: tuple[LayerReport, ...]
    target: float
    psnr_learned: float
    """Against the network, over frames it learned from."""
    psnr_other: float
    """Over frames of another clip, or of the end of the same one."""
    psnr_still: float
    """The same with the network's average alone, which nothing drives: what the tables are worth."""
    other: str
    """What those were."""
    beyond: tuple[str, ...]
    """Where that clip leaves what the functions know, for people."""

    @property
    def reached(self) -> bool:
        """Whether the other clip is as near as asked."""
        return self.psnr_other >= self.target

    def rows(self) -> list[tuple[str, str]]:
        """Return what there is to tell, as a table."""
        found = []
        for layer in self.layers:
            size = layer.bytes / max(layer.gaussians, 1)
            kind = f"ridge regression and {layer.hidden} hidden numbers" if layer.hidden else "ridge regression"
            found += [(f"{layer.name}: rank", f"{layer.rank}, {layer.energy:.4%} of the energy"),
                      (f"{layer.name}: moves", ", ".join(layer.channels)),
                      (f"{layer.name}: coefficients", f"{kind}, {layer.numbers} weights"),
                      (f"{layer.name}: bytes", f"{_bytes(layer.bytes)}, {size:.0f} a Gaussian; the network had "
                       f"{_bytes(layer.network_bytes)}"),
                      (f"{layer.name}: time a frame", f"{layer.milliseconds:.2f} ms; the network took "
                       f"{layer.network_milliseconds:.1f} ms here")]
        verdict = "" if self.reached else f"; {self.target:g} dB were asked for: try a longer clip, or a higher rank"
        return [*found, ("PSNR, learned frames", f"{self.psnr_learned:.1f} dB, against the network"),
                (f"PSNR, {self.other}", f"{self.psnr_other:.1f} dB{verdict}"),
                ("PSNR, average alone", f"{self.psnr_still:.1f} dB, without the tables"),
                ("leaves what the clip showed", "; ".join(self.beyond) or "nowhere")]


def _bytes(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def linearise(avatar: Avatar, clip: Sequence | None = None, other: Sequence | None = None, options: Options | None = None,
              progress: Progress = lambda _: None) -> Linearised:
    """Return `avatar` with linear dynamics in place of every network that moves a layer.

    Args:
        avatar: Has such a layer.
        clip: What to learn from; the avatar's own when absent.
        other: Another clip to report on; the last fifth of `clip`, which then takes no part, when absent.
        options: See `Options`.
        progress: Told what is going on.

    Raises:
        UnsupportedFeature: No network moves a layer, or one gives features for a decoder.
        CheckpointMismatch: A clip speaks another coefficient space.
        FormatError: A clip is too short, or a network gives NaN.
    """
    options = options or Options()
    moved = [layer for layer in avatar.layers if isinstance(layer, SplatLayer) and isinstance(layer.dynamics, str)]
    if not moved:
        raise UnsupportedFeature("linearise: no network moves a layer of this avatar; there is nothing to make linear")
    clip = clip if clip is not None else avatar.sequence
    if clip is None:
        raise FormatError("linearise: the avatar has no clip of its own; give one with --sequence")
    for each in (clip, other):
        if each is not None:
            check_driver(avatar.head, each)
    learned, check, tested, what = _divide(clip, other)
    camera = default_camera(avatar, options.size, options.size)
    made, reports = avatar, []
    for layer in moved:
        made, report = _layer(made, layer.name, learned, check, camera, options, progress)
        reports.append(report)
    progress("comparing pictures")
    frames = _spread(learned, PICTURES), _spread(tested, 2 * PICTURES)
    truth = [[(frame, _picture(avatar, frame, camera)) for frame in each] for each in frames]
    near = [_distance(made, each, camera) for each in truth]
    names = {layer.name for layer in moved}
    still = dataclasses.replace(made, layers=tuple(dataclasses.replace(layer, dynamics=None) if isinstance(layer, SplatLayer)
                                                   and layer.name in names else layer for layer in made.layers))
    used = {layer.dynamics for layer in made.layers if isinstance(layer, SplatLayer) and isinstance(layer.dynamics, str)}
    gone = {layer.dynamics for layer in moved} - used
    named = {layer.shading.weights_from for layer in made.layers if getattr(layer, "shading", None)}  # pyright: ignore
    kept = {name: n for name, n in made.networks.items() if name not in gone or name in named or name == made.decoder}
    made = dataclasses.replace(made, networks=kept)
    return Linearised(made, tuple(reports), options.decibels, near[0], near[1], _distance(still, truth[1], camera), what,
                      tuple(beyond(made, tested)))


def beyond(avatar: Avatar, sequence: Sequence) -> list[str]:
    """Return, for people, where a clip leaves what the coefficient functions of `avatar` were fitted to."""
    found = []
    for layer in avatar.layers:
        if not (isinstance(layer, SplatLayer) and isinstance(layer.dynamics, LinearDynamics) and layer.dynamics.function):
            continue
        counts, most = {}, {}
        for t in range(len(sequence)):
            for name, amount in driver_beyond(layer.dynamics, avatar.head, sequence.take([t])).items():
                if amount > BARELY:
                    counts[name], most[name] = counts.get(name, 0) + 1, max(most.get(name, 0.0), amount)
        found += [f"layer '{layer.name}': {name} in {count} of {len(sequence)} frames, by up to {most[name]:.2g} of its range"
                  for name, count in counts.items()]
    return found


def _divide(clip: Sequence, other: Sequence | None) -> tuple[Sequence, Sequence, Sequence, str]:
    """Return the frames to learn from, to choose with, and to report on, and what those are."""
    count = len(clip)
    if count < FEWEST:
        raise FormatError(f"linearise: a clip of {count} frames; at least {FEWEST} are needed to learn from and to check with")
    whole = np.arange(count)
    if other is not None:
        last, tested, what = count, other, "another clip"
    else:
        last = count - max(count // 5, 4)
        tested, what = clip.take(whole[last:]), "unseen last fifth"
    # Choosing frames lie in blocks of their own: neighbours of a learned frame are nearly that frame.
    block = max(last // 16, 1)
    held = (whole[:last] // block) % 5 == 2
    return clip.take(whole[:last][~held]), clip.take(whole[:last][held]), tested, what


def _spread(sequence: Sequence, most: int) -> list[Sequence]:
    at = np.unique(np.linspace(0, len(sequence) - 1, min(most, len(sequence))).round().astype(int))
    return [sequence.take([int(i)]) for i in at]


def _layer(avatar: Avatar, called: str, learned: Sequence, check: Sequence, camera: Camera, options: Options,
           progress: Progress) -> tuple[Avatar, LayerReport]:
    index = next(i for i, layer in enumerate(avatar.layers) if layer.name == called)
    layer = avatar.layers[index]
    assert isinstance(layer, SplatLayer) and isinstance(layer.dynamics, str)
    most = int(min(options.frames, max(MEMORY // (13 * 4 * max(len(layer.cloud), 1)), FEWEST)))
    checked = _joined(_spread(check, min(CHECKS, most // 8)))
    checked = _joined([checked, network_samples.mixed_frames(check, len(checked), seed=6)])
    own = _joined(_spread(learned, (most - len(checked)) // 2))
    mixed = network_samples.mixed_frames(learned, len(own))
    frames = _joined([own, mixed, checked])
    taught = len(own) + len(mixed)
    samples = network_samples.sample(layer, avatar, frames, taught, progress)
    quiet = [name for name, values in samples.deltas.items() if np.abs(values).max(initial=0) < QUIET[name]]
    for name in quiet[:len(samples.deltas) - 1]:
        del samples.deltas[name]
    modes = _Modes(samples, taught)
    truth = [(frame, _picture(avatar, frame, camera)) for frame in _spread(check, PICTURES)]
    ranks = [options.rank] if options.rank is not None else [k for k in RANKS if k < modes.rank] + [min(RANKS[-1], modes.rank)]
    best: tuple[float, SplatLayer] | None = None
    for rank in dict.fromkeys(min(r, modes.rank) for r in ranks):
        for hidden in (False, True):
            progress(f"layer {called}: rank {rank}{', with a hidden layer' if hidden else ''}"
                     + ("" if best is None else f" (so far {best[0]:.1f} dB)"))
            tried = _fitted(samples, modes, rank, hidden, taught, space_of(layer.dynamics, avatar), options.bits)
            near = _distance(_with(avatar, index, tried), truth, camera)
            if best is None or near > best[0] + (0.05 if hidden else 0.0):
                best = near, tried
            if near >= options.decibels + MARGIN:
                break
        if best is not None and best[0] >= options.decibels + MARGIN:
            break
    assert best is not None
    made = best[1]
    return _with(avatar, index, made), _report(avatar, layer, made, modes, check)


def _with(avatar: Avatar, index: int, layer: SplatLayer) -> Avatar:
    return dataclasses.replace(avatar, layers=(*avatar.layers[:index], layer, *avatar.layers[index + 1:]))


def _joined(parts: list[Sequence]) -> Sequence:
    """Return frames of one performance after each other, without cameras."""
    first = parts[0]
    fields = {name: np.concatenate([getattr(part, name) for part in parts])
              for name in ("expr", "rotation", "neck", "jaw", "eyes", "eyelids", "translation")}
    stacked = {kind: {name: np.concatenate([getattr(part, kind)[name] for part in parts]) for name in getattr(first, kind)}
               for kind in ("joints", "drivers")}
    return dataclasses.replace(first, **fields, **stacked, cameras={}, ranges={})


class _Modes:
    """The singular value decomposition of weighted answers, by their products with each other."""

    def __init__(self, samples: Samples, taught: int) -> None:
        """Decompose.

        Args:
            samples: Answers.
            taught: The first so many frames make the directions; the others are only measured in them.
        """
        frames = len(samples.driving)
        gram = np.zeros((frames, frames))
        for name, values in samples.deltas.items():
            for part in np.array_split(np.arange(values.shape[1]), max(values.shape[1] // 4096, 1)):
                rows = values[:, part] * samples.weights[name][part, None]
                rows = rows.reshape(frames, -1)
                gram += rows @ rows.T
        values, vectors = np.linalg.eigh(gram[:taught, :taught])
        order = np.argsort(-values)
        values, vectors = np.maximum(values[order], 0), vectors[:, order]
        self.total = float(values.sum())
        self.rank = max(int((values > max(self.total, 1e-300) * NOTHING).sum()), 1)
        self.values = values[:self.rank] / taught
        length = np.sqrt(np.maximum(values[:self.rank], 1e-300))
        self.coefficients = gram[:, :taught] @ vectors[:, :self.rank] / length**2 * np.sqrt(taught)
        """[frames, rank]; of unit size on average over the taught frames."""

    def energy(self, rank: int) -> float:
        """Return the share of the energy that the first so many hold."""
        return float(self.values[:rank].sum() / max(self.values.sum(), 1e-300))


def _fitted(samples: Samples, modes: _Modes, rank: int, hidden: bool, taught: int, space: str, bits: int) -> SplatLayer:
    """Return the layer with tables of a rank and their coefficient function."""
    middle = samples.driving[:taught].mean(axis=0)
    x, c = samples.driving - middle, modes.coefficients[:, :rank]
    function, _ = coefficient_fit.fit(x[:taught], c[:taught], (x[taught:], c[taught:]), modes.values[:rank], hidden,
                                      samples.parts)
    tables, layer = {}, samples.layer
    for name, values in samples.deltas.items():
        flat = values[:taught].reshape(taught, -1)
        table = (c[:taught].T.astype(np.float32) @ flat / taught).reshape(rank, *values.shape[1:])
        tables[name] = np.ascontiguousarray(table.transpose(1, 0, 2))
    if bits == 8:
        tables = {name: byte_tables.rounded(table) for name, table in tables.items()}
    dynamics = LinearDynamics(tables, samples.driver, middle.astype(np.float32), None, space, function)
    return dataclasses.replace(layer, dynamics=dynamics)


# --- Measures ---------------------------------------------------------------------------------------------------------


def _picture(avatar: Avatar, frame: Sequence, camera: Camera) -> np.ndarray:
    return render_avatar(avatar, frame, 0, _following(camera, avatar, frame)).rgb


def _following(camera: Camera, avatar: Avatar, frame: Sequence) -> Camera:
    """Return the camera as it would be if it hung on the head's root, so that every frame shows the face."""
    root = avatar.head.joint_roles.get("root", 0)
    moved = deform_head(avatar.head, frame).joint_transforms[root]
    return dataclasses.replace(camera, world_to_camera=camera.world_to_camera @ np.linalg.inv(moved))


def _distance(avatar: Avatar, truth: list[tuple[Sequence, np.ndarray]], camera: Camera) -> float:
    """Return the PSNR of all pictures together, dB."""
    made = [_picture(avatar, frame, camera) for frame, _ in truth]
    return float(psnr(np.stack(made), np.stack([picture for _, picture in truth])))


def _report(avatar: Avatar, layer: SplatLayer, made: SplatLayer, modes: _Modes, check: Sequence) -> LayerReport:
    dynamics = made.dynamics
    assert isinstance(layer.dynamics, str) and isinstance(dynamics, LinearDynamics) and dynamics.function is not None
    frame = check.take([0])
    after = _milliseconds(lambda: deltas_of(dynamics, avatar, frame))
    before = _milliseconds(lambda: network_samples.network_deltas(layer, avatar, frame))
    stored = [byte_tables.as_bytes(table) or (table,) for table in dynamics.tables.values()]
    function = dynamics.function
    rank = len(function.bias)
    return LayerReport(
        name=layer.name, rank=rank, energy=modes.energy(rank), hidden=len(function.inner_bias), numbers=function.numbers,
        channels=tuple(dynamics.tables), bytes=sum(part.nbytes for parts in stored for part in parts) + 4 * function.numbers,
        gaussians=len(layer.cloud), network_bytes=len(avatar.networks[layer.dynamics].onnx), milliseconds=after,
        network_milliseconds=before)


def _milliseconds(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return 1e3 * min(taken)
