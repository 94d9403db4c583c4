"""A full-size synthetic FLAME: model tables, how the originals pose them, and the files around them.

    tables = flame("flame2020")          the model pickle's arrays, float64 holding float32 numbers
    vertices = pose(tables, betas, theta)    the originals' way: Rodrigues with 1e-8, pose feature, chain, skinning
    head("flame2020")                    what a user passes as --head
    write_mask_pickle, write_obj, write_eyelids, write_model     the licensed files' layouts

The numbers are the stand-in head's (identity 300, expression 100); nothing here uses `formats.deform`.
"""

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from formats.head_model import HeadModel
from tests.formats.flame_fixture import _Python2, write_flame_pickle  # pyright: ignore[reportPrivateUsage]
from tests.originals.flame_template import base, template

Tables = Mapping[str, np.ndarray]
PARENTS = (-1, 0, 1, 1, 1)
TEMPLATE_LIFT = np.array([0.0, 1.5, 0.0])
"""The template OBJ lies elsewhere than the model: y 1.3..1.6."""


def _float32(values: np.ndarray) -> np.ndarray:
    made = np.ascontiguousarray(values, dtype=np.float32).astype(np.float64)
    made.flags.writeable = False
    return made


@functools.cache
def flame(edition: str = "flame2020") -> Tables:
    """Return the model tables of an edition by FLAME's names.

    `v_template` [5023,3], `f` [9976,3], `shapedirs` [5023,3,400] (300 identity, 100 expression), `posedirs` [36,15069] as
    the torch codes hold it (column 3*i + c), `J_regressor` [5,5023], `weights` [5023,5], `kintree_table` [2,5] with the
    unsigned -1, `l_eyelid` and `r_eyelid` [5023,3], and the six landmark arrays by DECA's names. Metres.
    `flame2023` has other directions than `flame2020`: same sizes, other meaning.
    """
    source, order = base(), template().old_ids
    assert source.shapedirs is not None and source.posedirs is not None and source.J_regressor is not None
    assert source.eyeliddirs is not None
    v = source.v_template[order].astype(np.float64)
    identity, expression = (d[order].astype(np.float64) for d in (source.shapedirs, source.exprdirs))
    posedirs = source.posedirs[order].astype(np.float64)
    # Every column moves something, so that a wrong column order cannot hide.
    k = np.arange(36)
    waves = np.sin(25 * v @ np.array([[1.0, 2, 0], [0, 1, -2], [2, 0, 1]]))[:, :, None] * np.cos(k + 1)
    posedirs = posedirs + 4e-4 * waves
    if edition == "flame2023":
        identity = np.concatenate([identity[:, :, 1:3], identity[:, :, :1], identity[:, :, 3:] * -1], axis=2)
        expression = np.concatenate([-expression[:, :, 1:2], expression[:, :, :1], expression[:, :, 2:] * 0.9], axis=2)
        v = v + 3e-4 * np.sin(40 * v[:, [1, 2, 0]])
    elif edition != "flame2020":
        raise ValueError(edition)
    regressor = source.J_regressor[:, order].astype(np.float64)
    weights = source.lbs_weights[order].astype(np.float64)
    tables = {
        "v_template": _float32(v), "f": template().faces,
        "shapedirs": _float32(np.concatenate([identity, expression], axis=2)),
        "posedirs": _float32(posedirs.reshape(-1, 36).T), "J_regressor": _float32(regressor),
        "weights": _float32(weights),
        "kintree_table": np.array([[4294967295, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.uint32),
        "l_eyelid": _float32(source.eyeliddirs[order, :, 0]), "r_eyelid": _float32(source.eyeliddirs[order, :, 1]),
    }
    return tables | {name: np.asarray(value) for name, value in source.landmarks.items()}


def flame2020() -> Tables:
    """Return `flame("flame2020")`."""
    return flame("flame2020")


def flame2023() -> Tables:
    """Return `flame("flame2023")`."""
    return flame("flame2023")


@functools.cache
def head(edition: str = "flame2020", sealed: bool = False) -> HeadModel:
    """Return the head that a user passes: identity directions, expressions, UVs (our convention: v from the top).

    Args:
        edition: `flame2020` or `flame2023`.
        sealed: With the 30 triangles over the lips (10 006 faces, 5150 UVs) instead of FLAME's own (9976, 5118).
    """
    tables, shape = flame(edition), template()
    uvs, uv_faces = (shape.sealed_uvs, shape.sealed_uv_faces) if sealed else (shape.uvs, shape.uv_faces)
    return HeadModel(
        edition=edition, v_template=tables["v_template"].astype(np.float32),
        faces=(shape.sealed_faces if sealed else shape.faces).astype(np.int32),
        exprdirs=tables["shapedirs"][:, :, 300:].astype(np.float32),
        shapedirs=tables["shapedirs"][:, :, :300].astype(np.float32),
        posedirs=tables["posedirs"].T.reshape(-1, 3, 36).astype(np.float32),
        lbs_weights=tables["weights"].astype(np.float32), J_regressor=tables["J_regressor"].astype(np.float32),
        parents=np.array(PARENTS, np.int32), uvs=np.stack([uvs[:, 0], 1 - uvs[:, 1]], axis=1).astype(np.float32),
        uv_faces=uv_faces.astype(np.int32), regions=masks(),
        landmarks={name: tables[name] for name in base().landmarks},
    )


def masks() -> dict[str, np.ndarray]:
    """Return FLAME_masks' 14 sets of vertex ids, int64."""
    new = np.argsort(template().old_ids)
    names = ("face", "neck", "scalp", "boundary", "right_eyeball", "left_eyeball", "right_ear", "left_ear", "forehead",
             "eye_region", "nose", "lips", "right_eye_region", "left_eye_region")
    return {name: np.sort(new[base().regions[name]]).astype(np.int64) for name in names}


def rodrigues(axis_angle: np.ndarray) -> np.ndarray:
    """Return rotation matrices [..., 3, 3]; 1e-8 is added to each component before the norm, as DECA's code does."""
    r = np.asarray(axis_angle, np.float64)
    angle = np.linalg.norm(r + 1e-8, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(r / angle[..., 0], -1, 0)
    o = np.zeros_like(x)
    k = np.stack([o, -z, y, z, o, -x, -y, x, o], axis=-1).reshape(*x.shape, 3, 3)
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


def rotation_6d(six: np.ndarray) -> np.ndarray:
    """Return rotation matrices whose first two rows come from 6 numbers by Gram-Schmidt, [..., 3, 3]."""
    a, b = np.asarray(six, np.float64)[..., :3], np.asarray(six, np.float64)[..., 3:]
    first = a / np.linalg.norm(a, axis=-1, keepdims=True)
    second = b - (first * b).sum(axis=-1, keepdims=True) * first
    second = second / np.linalg.norm(second, axis=-1, keepdims=True)
    return np.stack([first, second, np.cross(first, second)], axis=-2)


def pose_feature(rotations: np.ndarray) -> np.ndarray:
    """Return the 36 row-major entries of R - I of neck, jaw, left eye, right eye."""
    return (rotations[1:] - np.eye(3)).reshape(-1)


def joint_transforms(rotations: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Return A_j [5, 4, 4]: the chain's transforms with the rest joints taken out."""
    world: list[np.ndarray] = []
    for j, parent in enumerate(PARENTS):
        local = np.eye(4)
        local[:3, :3] = rotations[j]
        local[:3, 3] = joints[j] - (joints[parent] if j else 0)
        world.append(world[parent] @ local if j else local)
    relative = np.stack(world)
    relative[:, :3, 3] -= np.einsum("jab,jb->ja", relative[:, :3, :3], joints)
    return relative


def skin(tables: Tables, v_shaped: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """Return skinned vertices [V, 3] of shaped ones, from matrices [5, 3, 3]; joints are regressed from `v_shaped`."""
    transforms = joint_transforms(rotations, tables["J_regressor"] @ v_shaped)
    v_posed = v_shaped + (pose_feature(rotations) @ tables["posedirs"]).reshape(-1, 3)
    blended = np.einsum("vj,jab->vab", tables["weights"], transforms)
    return np.einsum("vab,vb->va", blended[:, :3, :3], v_posed) + blended[:, :3, 3]


def pose(tables: Tables, betas: np.ndarray, theta: np.ndarray, offset: np.ndarray | float = 0.0) -> np.ndarray:
    """Return posed vertices [V, 3], before any translation.

    Args:
        tables: `flame(edition)`, or a subset with the same keys.
        betas: As many as `tables["shapedirs"]` has columns.
        theta: 15 axis-angle numbers: root, neck, jaw, left eye, right eye.
        offset: Added to the shaped vertices, so that it moves the joints too.
    """
    v_shaped = tables["v_template"] + tables["shapedirs"] @ np.asarray(betas, np.float64) + offset
    return skin(tables, v_shaped, rodrigues(np.asarray(theta, np.float64).reshape(5, 3)))


def strong_motion(frames: int, expressions: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return expression codes [T, E] and poses [T, 15] that move everything, float32 numbers; frame 0 is mild."""
    rng = np.random.default_rng(seed)
    codes = rng.normal(0, 1.0, (frames, expressions))
    size = np.array([0.5, 0.3, 0.35, 0.3, 0.3]).repeat(3)
    theta = rng.normal(0, 1.0, (frames, 15)) * size
    theta[:, 6] = np.abs(theta[:, 6]) + 0.15
    codes[0], theta[0] = 0.3 * codes[0], 0.3 * theta[0]
    return codes.astype(np.float32), theta.astype(np.float32)


def smooth_offset(points: np.ndarray, size: float, seed: int) -> np.ndarray:
    """Return a smooth displacement [V, 3] of about `size`, with a hundredth of noise: no sliver triangles, float32 numbers."""
    rng = np.random.default_rng(seed)
    waves = np.sin(points @ rng.normal(0, 30, (3, 3)) + rng.uniform(0, 6, 3))
    return _float32(size * waves + size * rng.normal(0, 0.01, points.shape))


def write_obj(path: Path, sealed: bool = True, normals: bool = True) -> Path:
    """Write the template OBJ: `head_template_mouth_close.obj` / `FlameMesh.obj` when sealed, else FLAME's own."""
    shape, v = template(), flame()["v_template"] + TEMPLATE_LIFT
    faces, uvs, uv_faces = (shape.sealed_faces, shape.sealed_uvs, shape.sealed_uv_faces) if sealed else (
        shape.faces, shape.uvs, shape.uv_faces)
    lines = ["# Blender v2.93.4 OBJ File: ''", "# www.blender.org", "o head_template"]
    lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in v]
    lines += [f"vt {x:.6f} {y:.6f}" for x, y in uvs]
    if normals:
        lines += [f"vn {x:.4f} {y:.4f} {z:.4f}" for x, y, z in vertex_normals(v, faces)]
    lines += ["s 1"]
    for f, t in zip(faces + 1, uv_faces + 1, strict=True):
        lines.append("f " + " ".join(f"{a}/{b}/{a}" if normals else f"{a}/{b}" for a, b in zip(f, t, strict=True)))
    Path(path).write_text("\n".join(lines) + "\n")
    return Path(path)


def template_vertices() -> np.ndarray:
    """Return the template OBJ's vertices as read back from its six decimals, [5023, 3]."""
    return (flame()["v_template"] + TEMPLATE_LIFT).round(6)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray, floor: float = 1e-20) -> np.ndarray:
    """Return unit vertex normals [V, 3], area-weighted; `floor` is the least length that is divided by."""
    v0, v1, v2 = (vertices[faces[:, i]] for i in range(3))
    face, total = np.cross(v1 - v0, v2 - v0), np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(total, faces[:, corner], face)
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), floor)


def write_mask_pickle(path: Path) -> Path:
    """Write `FLAME_masks.pkl`: a Python 2 pickle of a dict of int64 arrays."""
    with Path(path).open("wb") as file:
        _Python2(file, 2, fix_imports=False).dump(masks())
    return Path(path)


def write_eyelids(folder: Path) -> tuple[Path, Path]:
    """Write `l_eyelid.npy` and `r_eyelid.npy`, (5023, 3) float64."""
    paths = Path(folder) / "l_eyelid.npy", Path(folder) / "r_eyelid.npy"
    for path in paths:
        np.save(path, flame()[path.stem].astype(np.float64))
    return paths


def write_model(path: Path, edition: str = "flame2020") -> Path:
    """Write the model as its pickle, `generic_model.pkl` or `flame2023.pkl`."""
    return write_flame_pickle(head(edition), path, edition)
