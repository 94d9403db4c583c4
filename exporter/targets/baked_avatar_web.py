"""The folder that the web demo of BakedAvatar plays: `mesh_data/` and `sequence_data/`, shells of mesh shaded by a small network.

For avatars of mesh layers on a FLAME head. What the demo wants, and how it is met: one .npy per array in C order with a header
under 256 bytes; four times life size; vertices split at texture seams; 50 expressions and 36 correctives, filled with zeros;
six bones, the first a ghost that takes the weight that others leave; at most 8 layers; 8-bit maps, radiance in four columns of
tiles; features 8, hidden numbers 16, temperature 10, to which smaller networks are padded. A layer with a plain texture becomes
one whose bases are all that texture.

The demo itself reads pose correctives 4 to 11 at wrong places and leaves out the rest, plays clips at 80 % unless its smoothing
is 0, starts from the face of one person, and draws the first layer opaque. Duan et al., "BakedAvatar", ACM TOG 42(6), 2023.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from exporter import baked_shading, stills
from exporter.baked_shading import Perceptron
from exporter.capabilities import Capabilities, Loss, fit, measured_frames, require
from exporter.ops.resample import resample
from formats.avatar import Avatar, MeshLayer, SkinBinding
from formats.codecs import baked_sequence, npy_file
from formats.codecs.json_file import write_json
from formats.deform import deform_head, deform_mesh, expression_of
from formats.errors import FormatError, MissingAsset, UnsupportedFeature
from formats.files import replacing_folder
from formats.head_model import ROLES, HeadModel
from formats.importers.baked_avatar import CORRECTIVES, EXPRESSIONS, PARENTS, UNIT, as_the_demo_reads
from formats.sequence import Sequence

CAPABILITIES = Capabilities(layers=frozenset({"mesh"}), dynamics=frozenset(), maps=(), foreign_players=False)
LAYER_LIMIT = 8
MESHES, CLIPS = "mesh_data", "sequence_data"
STILL = 1e-6
"""Coefficients and metres that say nothing."""
HEADER_LIMIT = 256
"""Bytes of an .npy header; the demo reads the low byte of its length alone."""


@dataclass(frozen=True)
class Options:
    """What goes into the folder."""

    clip: bool = True
    """Write the clip as `sequence_data`; --no-clip writes a neutral one, for the demo does not start without any."""
    head_motion: Literal["head", "camera"] = "head"
    """Where relative motion goes when the clip moves the camera instead of the head; the demo has a camera of its own."""


def write(avatar: Avatar, out: Path, options: Options) -> list[Path]:
    """Write the folder `out` and return what is in it.

    Raises:
        UnsupportedFeature: The layout has no place for something that is named.
        FormatError: `out` is a folder with something else in it.
        MissingAsset: onnx is not installed.
    """
    require(avatar, CAPABILITIES, "baked-avatar-web")
    layers, network = _checked(avatar)
    foreign = sorted({entry.name for entry in out.iterdir()} - {MESHES, CLIPS, stills.NOTICES}) if out.is_dir() else []
    if foreign:
        raise FormatError(f"{out}: holds '{foreign[0]}', which is no part of BakedAvatar's demo data; choose another --out")
    clip = (clip_of(avatar) if options.clip else None) or NEUTRAL
    with replacing_folder(out) as folder:
        place = folder / MESHES
        metadata = {"common": _saved(place, "common", common_of(avatar.head)),
                    "meshes": [_saved(place, f"meshes_{i}", arrays_of(layer, avatar.head, network.bases, i == 0))
                               for i, layer in enumerate(layers)],
                    "ghostbone": True, "dim_pos_feature": baked_shading.FEATURES, "num_texture_basis": network.bases,
                    "spatial_mlp_temperature": baked_shading.TEMPERATURE,
                    "global_mlp": _saved(place, "global_mlp", network.arrays)}
        for i, entry in enumerate(metadata["meshes"]):
            entry["level"] = float(i)
        write_json(metadata, place / "metadata.json")
        baked_sequence.write(clip, folder / CLIPS)
        if avatar.meta.license_notices:
            (folder / stills.NOTICES).write_text(stills.notices(avatar), encoding="utf-8")
    return sorted(path for path in out.rglob("*") if path.is_file())


def _checked(avatar: Avatar) -> tuple[list[MeshLayer], Perceptron]:
    """Return the layers and their network, after refusing what has no place."""
    head, layers = avatar.head, [layer for layer in avatar.layers if isinstance(layer, MeshLayer)]
    if not 0 < len(layers) <= LAYER_LIMIT:
        raise UnsupportedFeature(f"baked-avatar-web: {len(layers)} mesh layers; the demo draws 1 to {LAYER_LIMIT}, shells around "
                                 "a head as BakedAvatar makes them. For Gaussians take web or glb")
    if not layers[0].opaque:
        raise UnsupportedFeature(f"baked-avatar-web: layer '{layers[0].name}' is not opaque, and the demo draws the first one so")
    if tuple(head.parents.tolist()) != PARENTS or head.joint_roles != {role: i for i, role in enumerate(ROLES)}:
        raise UnsupportedFeature(f"baked-avatar-web: the head has {len(head.parents)} joints that are not FLAME's five in its "
                                 "order")
    if head.J_regressor is None:
        raise UnsupportedFeature("baked-avatar-web: the head keeps joints without their regressor (J_regressor), from which the "
                                 "demo makes them; import the avatar anew with a --head")
    return layers, baked_shading.perceptron_of(avatar)


def _saved(folder: Path, name: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Write arrays as .npy files and return what metadata.json says of them."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    said = {}
    for key, array in arrays.items():
        path = npy_file.write(array, folder / name / f"{key}.npy")
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(10)[8:10], "little")
        if length >= HEADER_LIMIT:
            raise UnsupportedFeature(f"baked-avatar-web: {name}/{key}.npy has a header of {length} bytes, the demo reads less "
                                     f"than {HEADER_LIMIT}")
        said[key] = {"path": f"{name}/{key}.npy", "shape": list(array.shape), "dtype": str(array.dtype)}
    return said


# --- Arrays -----------------------------------------------------------------------------------------------------------


def common_of(head: HeadModel) -> dict[str, np.ndarray]:
    """Return FLAME's tables in the demo's units and order."""
    count = len(head.v_template)
    posedirs = np.zeros((count, 3, CORRECTIVES), np.float32) if head.posedirs is None else head.posedirs
    assert head.J_regressor is not None
    return {"v_template": head.v_template / UNIT, "shapedirs": _wide(head.exprdirs, EXPRESSIONS) / UNIT,
            "posedirs": (posedirs / UNIT).transpose(2, 0, 1).reshape(CORRECTIVES, 3 * count),
            "lbs_weights": head.lbs_weights, "J_regressor": head.J_regressor, "parents": np.array(PARENTS, np.int32)}


def arrays_of(layer: MeshLayer, head: HeadModel, bases: int, first: bool = False) -> dict[str, np.ndarray]:
    """Return a layer's arrays in the demo's units and order, its vertices split where texture coordinates part.

    Args:
        layer: The layer.
        head: What it rides.
        bases: How many the demo mixes.
        first: It is the innermost, whose alpha nobody reads; an opaque one further out gets an alpha of 1.
    """
    pick, uvs, faces = _split(layer)
    binding = own_tables(layer.binding, head)
    assert binding.exprdirs is not None and binding.posedirs is not None and binding.lbs_weights is not None
    ghost = np.maximum(1 - binding.lbs_weights.sum(axis=1, keepdims=True, dtype=np.float64), 0).astype(np.float32)
    features, radiance, _ = baked_shading.atlases(layer, bases)
    if layer.opaque and not first:
        radiance[..., 3] = 255
    return {"vertices": (layer.vertices / UNIT)[pick], "faces": faces.astype(np.int32),
            "shapedirs": _wide(binding.exprdirs, EXPRESSIONS)[pick].transpose(0, 2, 1) / UNIT,
            "posedirs": _wide(binding.posedirs, CORRECTIVES)[pick].transpose(0, 2, 1) / UNIT,
            "lbs_weights": np.concatenate([ghost, binding.lbs_weights], axis=1)[pick], "normals": layer.normals[pick],
            "uvs": uvs, "position_texture": features, "radiance_texture": radiance}


def own_tables(binding: SkinBinding, head: HeadModel) -> SkinBinding:
    """Return the binding with blendshapes, correctives and weights of its own, zeros where it has none."""
    if binding.vertex_index is not None:
        at = binding.vertex_index
        weights = head.lbs_weights.astype(np.float64)
        weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)[at]
        binding = SkinBinding(exprdirs=head.exprdirs[at], posedirs=None if head.posedirs is None else head.posedirs[at],
                              eyeliddirs=None if head.eyeliddirs is None else head.eyeliddirs[at], lbs_weights=weights)
    count = len(binding)
    none = np.zeros((count, 3, 0), np.float32)
    return dataclasses.replace(binding, exprdirs=none if binding.exprdirs is None else binding.exprdirs,
                               posedirs=none if binding.posedirs is None else binding.posedirs)


def _wide(table: np.ndarray, columns: int) -> np.ndarray:
    return np.pad(table[:, :, :columns], ((0, 0), (0, 0), (0, max(columns - table.shape[2], 0))))


def _split(layer: MeshLayer) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which vertex each new one is, its texture coordinates, and the faces; a mesh that is split already stays so."""
    if len(layer.uvs) == len(layer.vertices) and np.array_equal(layer.faces, layer.uv_faces):
        return np.arange(len(layer.vertices)), layer.uvs, layer.faces
    corners = np.stack([layer.uv_faces.reshape(-1), layer.faces.reshape(-1)], axis=1)
    pairs, where = np.unique(corners, axis=0, return_inverse=True)
    return pairs[:, 1], layer.uvs[pairs[:, 0]], where.reshape(-1, 3)


def clip_of(avatar: Avatar) -> Sequence | None:
    """Return what of the avatar's clip the layout has a place for, in its first 50 expressions, at 25 frames a second.

    The demo skips a range's first frame and stops at its last, and never stops where they are one: such ranges are said
    again at the end with their frame twice.
    """
    clip, head = avatar.sequence, avatar.head
    if clip is None:
        return None
    expr = np.stack([expression_of(head, clip.take([i])) for i in range(len(clip))])[:, :EXPRESSIONS]
    expr = np.pad(expr, ((0, 0), (0, EXPRESSIONS - expr.shape[1])))
    plain = Sequence(baked_sequence.BASIS, clip.fps, expr, rotation=clip.rotation, neck=clip.neck, jaw=clip.jaw, eyes=clip.eyes,
                     ranges=clip.ranges)
    plain = plain if clip.fps == baked_sequence.FPS else resample(plain, baked_sequence.FPS)
    ranges = dict(plain.ranges) or {baked_sequence.DEFAULT_RANGE: (0, len(plain))}
    frames = list(range(len(plain)))
    for name, (first, end) in list(ranges.items()):
        if end - first == 1:
            ranges[name] = (len(frames), len(frames) + 2)
            frames += [first, first]
    return plain if len(frames) == len(plain) else dataclasses.replace(plain.take(frames), ranges=ranges)


NEUTRAL = Sequence(baked_sequence.BASIS, baked_sequence.FPS, np.zeros((2, EXPRESSIONS)), ranges={"neutral": (0, 2)})
"""What is played where there is no clip."""


# --- Losses -----------------------------------------------------------------------------------------------------------


def losses(avatar: Avatar, options: Options) -> list[Loss]:
    """Return what has no place in the layout, and what the demo makes of the rest."""
    avatar = fit(avatar, CAPABILITIES).avatar
    layers, network = _checked(avatar)
    told = [*_table_losses(avatar, layers), *(_clip_losses(avatar) if options.clip and avatar.sequence else ())]
    rounded = max(baked_shading.atlases(layer, network.bases)[2] for layer in layers)
    if rounded > 1e-6:
        told.append(Loss("maps rounded to 8 bits", f"up to {rounded:.3g} of 1", False))
    if network.slopes_above_one:
        told.append(Loss("PReLU slopes above 1, for which the demo computes max(x, a x)", f"{network.slopes_above_one} slopes"))
    try:
        wrong = _demo_error(avatar, layers)
    except MissingAsset:
        return told
    if wrong > 1e-5:
        told.append(Loss("pose correctives, of which the demo reads eight at wrong places and 24 not at all",
                         f"vertices up to {wrong * 1e3:.2g} mm off there", False))
    return told


def _table_losses(avatar: Avatar, layers: list[MeshLayer]) -> Iterator[Loss]:
    for layer in layers:
        binding = own_tables(layer.binding, avatar.head)
        if binding.eyeliddirs is not None and np.abs(binding.eyeliddirs).max(initial=0) > 0:
            yield Loss(f"layer '{layer.name}': eyelids", f"up to {_largest(binding.eyeliddirs):.2g} mm at coefficient 1")
        assert binding.exprdirs is not None
        beyond = binding.exprdirs[:, :, EXPRESSIONS:]
        if np.abs(beyond).max(initial=0) > 0:
            yield Loss(f"layer '{layer.name}': expressions beyond the fiftieth",
                       f"{beyond.shape[2]}, up to {_largest(beyond):.2g} mm at coefficient 1")


def _largest(directions: np.ndarray) -> float:
    return 1e3 * float(np.linalg.norm(directions, axis=1).max(initial=0))


def _clip_losses(avatar: Avatar) -> Iterator[Loss]:
    clip = avatar.sequence
    assert clip is not None
    for name, unit in (("eyelids", ""), ("translation", " m")):
        largest = float(np.abs(getattr(clip, name)).max())
        if largest > STILL:
            yield Loss(f"the clip's {name}", f"up to {largest:.3g}{unit}")
    turning = [name for name, turn in clip.joints.items() if turn.any()]
    if turning:
        yield Loss(f"the clip's joints {', '.join(turning)}", f"{len(turning)} joints")
    if clip.drivers:
        yield Loss(f"the clip's drivers {', '.join(clip.drivers)}", f"{len(clip.drivers)} arrays", False)
    if clip.fps != baked_sequence.FPS:
        yield Loss(f"the clip's rate: it is sampled anew at {baked_sequence.FPS:g} frames a second",
                   f"{len(clip)} frames at {clip.fps:g}", False)


def _demo_error(avatar: Avatar, layers: list[MeshLayer]) -> float:
    """Return how far the demo's reading of correctives puts vertices off, metres, over a few frames."""
    largest = 0.0
    for layer in layers:
        binding = own_tables(layer.binding, avatar.head)
        assert binding.posedirs is not None
        if not binding.posedirs.shape[2]:
            continue
        moved = as_the_demo_reads(binding.posedirs.transpose(0, 2, 1)).transpose(0, 2, 1)
        for frame in measured_frames(avatar.head, avatar.sequence):
            posed = deform_head(avatar.head, frame)
            both = [deform_mesh(dataclasses.replace(layer, binding=each), avatar, posed, frame).vertices.astype(np.float64)
                    for each in (binding, dataclasses.replace(binding, posedirs=moved))]
            largest = max(largest, float(np.linalg.norm(both[0] - both[1], axis=1).max(initial=0)))
    return largest
