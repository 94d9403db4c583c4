"""MonoGaussianAvatar's checkpoints, and FATE's version of them.

Points that skin themselves: a network says once, for each, how expressions and poses move it and which bones hold it; another
what it looks like. A third, small one changes its looks with where the frame puts it, and stays a network (`mono_appearance`).
Chen, Wang, Gao, et al., "MonoGaussianAvatar: Monocular Gaussian Point-based Head Avatar", SIGGRAPH 2024.

    PATH            .../train/checkpoints, or a ModelParameters/<epoch>.pth in it; FLAME is inside, four times life size
    flame_params=   the training videos' flame_params.json (commas between several): their mean expression is the rest
    conf=           runconf.conf, for the canonical jaw; found in the run's folder

The bone that never turns, the ghost, is a joint beside the root: where the camera's movement becomes the head's, it moves along.
Refined tracking (`InputParameters`) becomes the clip. Splats do not turn: they are nearly axis-aligned (`mono_appearance`).
"""

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from formats.avatar import Avatar, Meta, Network, SkinBinding, SplatLayer
from formats.codecs import torch_file
from formats.conventions import rgb_to_sh, sigmoid
from formats.deform import joint_transforms, pose_feature
from formats.errors import CheckpointMismatch, FormatError, MissingAsset, naming
from formats.gaussians import GaussianCloud
from formats.head_model import HeadModel
from formats.importers import mono_networks, mono_training, side_files
from formats.importers.fate_context import FateContext
from formats.importers.fate_flame import dressed, flame_head
from formats.importers.mono_appearance import FACTOR, appearance_network, covariances, point_scales, principal_axes
from formats.importers.recognition import unwrapped
from formats.rotations import axis_angle_to_matrix

LOG = logging.getLogger(__name__)
PAPER = ("Chen et al., MonoGaussianAvatar: Monocular Gaussian Point-based Head Avatar, SIGGRAPH 2024, arXiv:2312.04558")
NOTICE = ("MonoGaussianAvatar's code is under the MIT licence, but draws with Inria's 3D Gaussian Splatting (non-commercial "
          "research); check its terms and the consent of the person shown before you publish.")
SIDES = {"flame_params": "flame_params.json of the training videos, commas between them", "conf": "runconf.conf of the run"}
PARTS = ("pc.", "FLAMEServer.", "geometry_network.", "deformer_network.", "gaussian_deformer_network.")
"""Beginnings of the keys that are read; `rendering_network` is there and never used."""
NETWORK = "appearance"
GHOST = "ghost"
FATE_JAW = 0.2
"""Radians; FATE trains with it, whatever its other scripts say."""
FATE_RADIUS = 0.0007610908653441582
"""Quarters of a metre; FATE does not save it, and writes this one into its code."""


def read(path: Path, head: HeadModel | None = None, sides: Mapping[str, Path] | None = None, *, as_original: bool = False,
         canonical_jaw: float = -1.0, subsample: int = 0) -> Avatar:
    """Return the avatar of a MonoGaussianAvatar checkpoint.

    Args:
        path: `.../train/checkpoints`, or a .pth of `ModelParameters`.
        head: Not needed; FLAME 2020 lends its regions and ARKit map.
        sides: See `SIDES`; both are looked for in the run's folder, and in the data folder that its configuration names.
        as_original: Nothing differs: we draw as the original does.
        canonical_jaw: Radians the jaw is open at rest; below 0 the configuration's, else 0.4.
        subsample: Every n-th frame of the training videos counts; 0 as the configuration says.

    Raises:
        MissingAsset: The checkpoint or the training clips are missing.
        FormatError: A file is damaged.
        CheckpointMismatch: Files or tables do not belong together.
        UnsupportedFeature: An unknown side input.
    """
    del as_original
    path, sides = Path(path), dict(sides or {})
    side_files.check_names(path, sides, SIDES)
    if not -1 <= canonical_jaw <= 1.6 or not 0 <= subsample <= 1 << 20:
        raise FormatError(f"{path}: canonical_jaw {canonical_jaw} or subsample {subsample} is out of range")
    path = mono_training.model_file(path)
    where = str(path)
    state, radius = _model(path)
    config = mono_training.config_of(path, sides)
    names, parts = mono_training.clips(path, sides, config, subsample)
    tracked = mono_training.joined(names, parts)
    expressions = tracked.expr.shape[1]
    plain = dressed(flame_head(state, "FLAMEServer.", 1 / FACTOR, where=where, n_exp=expressions), head, where)
    jaw = canonical_jaw if canonical_jaw >= 0 else mono_training.JAW if config.canonical_jaw is None else config.canonical_jaw
    layer, network = layer_of(state, plain, mono_training.canonical_expression(tracked, config), jaw, radius, where)
    sequence = mono_training.refined(path, tracked)
    meta = Meta(name=_name(path, config.subject), system="mono-gaussian-avatar", source=path.name, paper=PAPER,
                license_notices=(NOTICE,))
    with naming(where):
        return Avatar(head=with_ghost(plain), layers=(layer,), networks={NETWORK: network}, sequence=sequence, meta=meta)


def from_fate(model: Mapping[str, np.ndarray], context: FateContext) -> Avatar:
    """Return the avatar of a MonoGaussianAvatar that FATE trained: canonical jaw 0.2, its own radius.

    Args:
        model: Arrays by key.
        context: What the checkpoint holds besides; its identity has the rest expression.

    Raises:
        MissingAsset: There is no identity_dict.pkl.
        FormatError: A key is missing or damaged.
    """
    if context.identity is None:
        raise MissingAsset(f"{context.where}: needs the mean expression of training, which is in the run's identity_dict.pkl; "
                           "give it with --side identity=PATH")
    layer, network = layer_of(model, context.head, context.identity.canonical_expression, FATE_JAW, FATE_RADIUS, context.where)
    with naming(context.where):
        return Avatar(head=with_ghost(context.head), layers=(layer,), networks={NETWORK: network}, sequence=context.sequence,
                      meta=context.meta(PAPER, (NOTICE,)))


def _model(path: Path) -> tuple[dict[str, np.ndarray], float]:
    with torch_file.open(path) as file:
        root = file.root
        if not isinstance(root, Mapping) or not isinstance(root.get("model_state_dict"), Mapping):
            found = ", ".join(map(str, list(root)[:8])) if isinstance(root, Mapping) else f"a {type(root).__name__}"
            raise FormatError(f"{path}: expected epoch, radius and model_state_dict of MonoGaussianAvatar, found {found}")
        radius = root.get("radius")
        if not isinstance(radius, (int, float)) or not 0 <= radius <= 1:
            raise FormatError(f"{path}: 'radius': expected a length in 0..1, got {ascii(radius)[:40]}; every scale has it added")
        state = {str(key): value for key, value in unwrapped(root["model_state_dict"]).items()
                 if str(key).startswith(PARTS) and not str(key).startswith("deformer_network.FLAMEServer.")}
        return torch_file.arrays(state, f"{path}: model_state_dict"), float(radius)


def layer_of(state: Mapping[str, np.ndarray], head: HeadModel, expression: np.ndarray, jaw: float, radius: float,
             where: str) -> tuple[SplatLayer, Network]:
    """Return a model's Gaussians, and the network that changes their looks.

    Args:
        state: Its arrays by key, see `PARTS`.
        head: The person's, without the ghost.
        expression: Of the canonical state, [E].
        jaw: Radians it is open there.
        radius: Added to every scale, quarters of a metre.
        where: Names the model in messages.
    """
    points = mono_networks.array(state, "pc.points", (None, 3), where)
    if not 0 < len(points) <= mono_networks.POINT_LIMIT:
        raise FormatError(f"{where}: 'pc.points': {len(points)} points, expected 1..{mono_networks.POINT_LIMIT}")
    moves = mono_networks.deformation(state, points, where)
    if moves.exprdirs.shape[2] != len(expression) or len(expression) > len(head.expr_names):
        raise CheckpointMismatch(f"{where}: its points move with {moves.exprdirs.shape[2]} expressions, the mean of the training "
                                 f"clips has {len(expression)}, the head {len(head.expr_names)}; are they of one run?")
    looks = mono_networks.statics(state, points, where)
    anchors = points + moves.offsets
    means = _at_rest(head, moves, anchors / FACTOR, expression, jaw)
    quats, scales = principal_axes(covariances(looks.quats, point_scales(looks.scales, radius)))
    network = appearance_network(state, "gaussian_deformer_network.", looks, anchors, radius, where)
    with naming(where):
        cloud = GaussianCloud(means, quats, scales, sigmoid(looks.opacities), rgb_to_sh(sigmoid(looks.rgb))[:, None])
        binding = SkinBinding(exprdirs=moves.exprdirs / np.float32(FACTOR), posedirs=moves.posedirs / np.float32(FACTOR),
                              lbs_weights=np.roll(moves.weights, -1, axis=1), rotation="none")
        return SplatLayer(cloud, binding, NETWORK), network


def with_ghost(head: HeadModel) -> HeadModel:
    """Return the head with one joint more, the last: it never turns, no vertex hangs on it, and `translation` moves it.

    IMavatar's cameras move from frame to frame and never turn. Points on the ghost hold still in front of none of them, so they
    must go along when that movement is given to the head.
    """
    assert head.J_regressor is not None
    return dataclasses.replace(
        head, parents=np.append(head.parents, -1), lbs_weights=np.pad(head.lbs_weights, ((0, 0), (0, 1))),
        J_regressor=np.concatenate([head.J_regressor, head.J_regressor[:1]]), joint_names=(*head.joint_names, GHOST),
        joint_roles=head.joint_roles)


def _at_rest(head: HeadModel, moves: mono_networks.Deformation, anchors: np.ndarray, expression: np.ndarray, jaw: float
             ) -> Float64[np.ndarray, "N 3"]:
    """Return the points before blendshapes and skinning, metres: the canonical state taken off `anchors` again.

    The canonical state has the mean expression and an open jaw; each point is moved back by its own weights and directions.
    """
    turns = np.zeros((len(head.parents), 3))
    turns[head.joint_roles["jaw"], 0] = jaw
    local = axis_angle_to_matrix(turns)
    filled = np.zeros(len(head.expr_names))
    filled[:len(expression)] = expression
    transforms = joint_transforms(head, filled, local, np.zeros(3))
    blended = np.einsum("nj,jab->nab", moves.weights[:, 1:], transforms, optimize=True)
    blended += moves.weights[:, 0, None, None] * np.eye(4)
    there = np.concatenate([anchors, np.ones((len(anchors), 1))], axis=1)
    neutral = np.linalg.solve(blended, there[:, :, None])[:, :3, 0]
    return neutral - (moves.exprdirs @ expression + moves.posedirs @ pose_feature(head, local)) / FACTOR


def _name(path: Path, subject: str | None) -> str:
    """Return the subject: the configuration's, else the folder three above `train/checkpoints/ModelParameters`."""
    above = side_files.ancestors(path, 7)
    whole = len(above) > 5 and [folder.name for folder in above[:3]] == ["ModelParameters", "checkpoints", "train"]
    named = subject if subject and len(subject) <= 80 and subject.isprintable() else None
    return named or (above[5].name if whole else path.stem)
