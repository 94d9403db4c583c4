"""What ARKit's 52 weights mean for a head that does not say: fitted to landmarks and masks.

FLAME's expressions are principal components without names, and there is no official map. The stand-in head, whose shapes
are ARKit's by construction, shows how far 68 landmarks and the regions of the face move for each weight; this head's
coefficients are solved to move its own landmarks and regions so, by ridge least squares. Jaw and eyes turn their joints, and
blinks close the lids where the head has lid shapes.
"""

import dataclasses
import logging
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32, Float64

from formats.conventions import ARKIT_52
from formats.deform import deform_head, rest_sequence
from formats.errors import MissingAsset
from formats.head_model import ARKIT_TAIL, HeadModel
from formats.standin.head import standin_head

LOG = logging.getLogger(__name__)
LANDMARKS = ("full_lmk_faces_idx", "full_lmk_bary_coords")
EYE_CORNERS = (36, 45)
"""iBUG's outer eye corners: their distance is a face's size."""
CHIN = 8
PROBED = ("forehead", "nose", "left_eye_region", "right_eye_region", "left_ear", "right_ear", "scalp", "neck")
"""Regions whose left and right halves are followed as wholes, besides the cheeks."""
NOISE = 0.7
"""Millimetres by which a landmark may miss before coefficients grow by one of their standard deviations."""
BY_JOINT = ("jawOpen", "jawLeft", "jawRight", *(name for name in ARKIT_52 if name.startswith("eyeLook")))
WITHOUT = ("tongueOut",)
"""FLAME has no tongue."""


@dataclasses.dataclass(frozen=True, eq=False)
class ArkitFit:
    """A fitted map, and how well it does."""

    table: Float32[np.ndarray, "52 A"]
    """As `HeadModel.arkit_map`."""
    residuals: Mapping[str, float]
    """By name: what is left of the wanted motion of landmarks and regions, 0 (all reached) to 1 (nothing)."""

    def summary(self) -> str:
        """Return one line for people."""
        worst = sorted(self.residuals, key=self.residuals.__getitem__)[-3:]
        return (f"fitted from landmarks and masks; of the wanted motion {np.median(list(self.residuals.values())):.0%} is left "
                f"in the median, most for {', '.join(f'{name} {self.residuals[name]:.0%}' for name in reversed(worst))}")


def fit_arkit_map(head: HeadModel) -> ArkitFit:
    """Return what ARKit's weights mean for `head`.

    Raises:
        MissingAsset: The head has no landmarks, which say where its face is.
    """
    if any(name not in head.landmarks for name in LANDMARKS):
        raise MissingAsset("this head has no landmarks to fit ARKit's shapes to; convert it with `flameport head FLAME.pkl "
                           "--landmarks landmark_embedding.npy --masks FLAME_masks.pkl`, or give a map with --arkit-map")
    model = standin_head("open-mouth")
    common = tuple(name for name in _halves(head) if name in _halves(model))
    ours, theirs = _Probes(head, common), _Probes(model, common)
    assert model.arkit_map is not None
    size = ours.size / theirs.size
    directions = ours.directions() * 1e3
    count = directions.shape[1]
    weights = np.repeat(ours.weights, 3)
    left = directions * weights[:, None]
    solve = np.linalg.solve(left.T @ left + NOISE**2 * np.eye(count), left.T)
    lids = head.eyeliddirs is not None
    table, residuals = np.zeros((52, count + ARKIT_TAIL)), {}
    for row, name in enumerate(ARKIT_52):
        theirs_of = model.arkit_map[row].astype(np.float64)
        if name in WITHOUT:
            continue
        tail = np.zeros(ARKIT_TAIL)
        if name in BY_JOINT:
            tail[:12] = theirs_of[-ARKIT_TAIL:-2]
            if name == "jawOpen":
                tail[:3] *= _reach(ours, theirs, tail[:3]) * size
            table[row, count:] = tail
            continue
        if lids and np.any(theirs_of[-2:]):
            table[row, -2:] = theirs_of[-2:]
            continue
        wanted = theirs.moved(theirs_of) * 1e3 * size
        table[row, :count] = solve @ (wanted * weights)
        reached = (directions @ table[row, :count] - wanted) * weights
        residuals[name] = float(np.linalg.norm(reached) / max(np.linalg.norm(wanted * weights), 1e-9))
    return ArkitFit(table.astype(np.float32), residuals)


def _reach(ours: "_Probes", theirs: "_Probes", jaw: np.ndarray) -> float:
    """Return how much further this head's jaw must turn than the stand-in's for a chin that sinks as far."""
    sinks = [probes.posed(jaw=jaw)[CHIN, 1] for probes in (theirs, ours)]
    return float(np.clip(sinks[0] / sinks[1], 0.5, 2)) if abs(sinks[1]) > 1e-6 else 1.0


def _halves(head: HeadModel) -> dict[str, np.ndarray]:
    """Return the vertices of the left and right halves of the regions that are followed, by name."""
    regions, x = head.regions, head.v_template[:, 0]
    named = {name: regions[name] for name in PROBED if name in regions and len(regions[name])}
    if "face" in regions and named:
        taken = np.concatenate([*named.values(), regions.get("lips", np.zeros(0, np.int32))])
        named["cheeks"] = np.setdiff1d(regions["face"], taken)
    halves = {f"{name} {side}": ids[sign * x[ids] > 0] for name, ids in named.items()
              for side, sign in (("left", 1), ("right", -1))}
    return {name: ids for name, ids in halves.items() if len(ids) > 4}


class _Probes:
    """Points of a head that are followed: 68 landmarks, then halves of regions as their vertices' means."""

    def __init__(self, head: HeadModel, names: tuple[str, ...]) -> None:
        self.head = head
        faces = head.landmarks["full_lmk_faces_idx"].reshape(-1)[:68]
        bary = head.landmarks["full_lmk_bary_coords"].reshape(-1, 3)[:68].astype(np.float64)
        rows = np.zeros((len(faces), len(head.v_template)))
        np.add.at(rows, (np.arange(len(faces))[:, None], head.faces[faces]), bary)
        halves = _halves(head)
        means = [np.isin(np.arange(len(head.v_template)), halves[name]) for name in names]
        parts = np.array(means, np.float64).reshape(-1, len(head.v_template))
        self.rows = np.concatenate([rows, parts / np.maximum(parts.sum(axis=1, keepdims=True), 1)])
        self.weights = np.concatenate([np.ones(len(faces)), np.full(len(parts), 3.0)])
        self.rest = self.rows @ head.v_template
        self.size = float(np.linalg.norm(self.rest[EYE_CORNERS[0]] - self.rest[EYE_CORNERS[1]]))

    def directions(self) -> Float64[np.ndarray, "Q E"]:
        """Return how all probes' coordinates move per expression, metres."""
        moved = np.einsum("pv,vce->pce", self.rows, self.head.exprdirs, optimize=True)
        return moved.reshape(-1, moved.shape[2])

    def moved(self, driven: np.ndarray) -> Float64[np.ndarray, " Q"]:
        """Return how all coordinates move for one row of an `arkit_map`, metres."""
        expr, (jaw, neck, eyes, lids) = driven[:-ARKIT_TAIL], np.split(driven[-ARKIT_TAIL:], [3, 6, 12])
        return self.posed(expr=expr, jaw=jaw, neck=neck, eyes=eyes, eyelids=lids).reshape(-1)

    def posed(self, **fields: np.ndarray) -> Float64[np.ndarray, "P 3"]:
        """Return how the probes move from rest in a pose, metres."""
        frame = dataclasses.replace(rest_sequence(self.head), **{k: np.asarray(v)[None] for k, v in fields.items()})
        return self.rows @ deform_head(self.head, frame).vertices - self.rest
