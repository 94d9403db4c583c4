"""The head: FLAME's tables, or any mesh with blendshapes and a skeleton that is driven the same way.

FLAME: Li, Bolkart, Black, Li, Romero, "Learning a model of facial shape and expression from 4D scans", ACM TOG 2017.
"""

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Int32

from formats import checks
from formats.conventions import ARKIT_52
from formats.errors import FormatError

ROLES = ("root", "neck", "jaw", "left_eye", "right_eye")
"""The joints that a `Sequence` drives by `rotation`, `neck`, `jaw` and `eyes`, in FLAME's order."""

EDITIONS = ("flame2019", "flame2020", "flame2023", "flame2023-no-jaw", "flame2023-open", "standin", "arkit-51",
            "arkit-52", "bfm09-64")
"""The coefficient spaces we know; `flame2019` is also the 2017 release. Codes of one mean nothing in another, whatever
their length."""

ARKIT_TAIL = 14
"""Columns of `arkit_map` after the expression ones: jaw 3, neck 3, eyes 6 (left, right), eyelids 2 (left, right)."""


@dataclass(frozen=True, eq=False)
class HeadModel:
    """A head that expression coefficients and joint rotations deform. Metres, rest pose, float32.

    In a bundle `v_template` already contains the person's identity, and `shapedirs` is empty.
    The letters: V vertices, F faces, E expressions, S identity shapes, J joints, P pose correctives (36 or 0), U UVs.
    """

    edition: str
    """Which coefficient space drives it: one of `EDITIONS`."""
    v_template: Float32[np.ndarray, "V 3"]
    faces: Int32[np.ndarray, "F 3"]
    exprdirs: Float32[np.ndarray, "V 3 E"]
    """Metres per unit coefficient."""
    lbs_weights: Float32[np.ndarray, "V J"]
    """Rows sum to 1."""
    parents: Int32[np.ndarray, " J"]
    """-1 for the root; a parent comes before its children."""
    J_regressor: Float32[np.ndarray, "J V"] | None = None
    """Rest joints from rest vertices; FLAME regresses them from the expressed, lid-free shape. Absent when
    `J_template` and `J_exprdirs` hold what it gives."""
    J_template: Float32[np.ndarray, "J 3"] | None = None
    J_exprdirs: Float32[np.ndarray, "J 3 E"] | None = None
    """How rest joints move per unit expression; None means they do not."""
    posedirs: Float32[np.ndarray, "V 3 P"] | None = None
    """Pose correctives, for the row-major entries of (R - I) of neck, jaw, left eye, right eye."""
    shapedirs: Float32[np.ndarray, "V 3 S"] | None = None
    eyeliddirs: Float32[np.ndarray, "V 3 2"] | None = None
    """Left and right eyelid closing."""
    eyelid_space: str = "rest"
    """`rest`: added before skinning. `posed`: after skinning (metrical-tracker's way)."""
    expr_names: tuple[str, ...] = ()
    """One per expression; made up as expr000, expr001, ... when absent."""
    joint_names: tuple[str, ...] = ()
    """One per joint; FLAME's five when absent and J is 5."""
    joint_roles: Mapping[str, int] = field(default_factory=dict)
    """Which joint each of `ROLES` is; 0..4 when absent and J is 5. A role a head lacks is simply left out."""
    uvs: Float32[np.ndarray, "U 2"] | None = None
    """Texture coordinates, (0, 0) at the image's top-left corner."""
    uv_faces: Int32[np.ndarray, "F 3"] | None = None
    regions: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Named vertex ids, ordered where the name says a ring."""
    landmarks: Mapping[str, np.ndarray] = field(default_factory=dict)
    """DECA's six embedding arrays by their names, where known."""
    arkit_map: Float32[np.ndarray, "52 A"] | None = None
    """How each of ARKit's 52 weights (sorted by name) drives this head: A = E + 14 columns, see `ARKIT_TAIL`."""
    content_hash: str = ""
    """SHA-256 of the source model's tables, before identity was put in; made here when absent."""

    def __post_init__(self) -> None:
        own, sizes = "HeadModel", {}
        if self.edition not in EDITIONS:
            raise FormatError(f"HeadModel.edition: unknown '{self.edition}'; expected one of {', '.join(EDITIONS)}")

        def table(name: str, *shape: int | str, dtype: type = np.float32) -> None:
            if getattr(self, name) is not None:
                checks.freeze(self, {name: checks.array(own, name, getattr(self, name), shape, sizes, dtype)})

        table("v_template", "V", 3)
        table("faces", "F", 3, dtype=np.int32)
        table("exprdirs", "V", 3, "E")
        table("lbs_weights", "V", "J")
        table("parents", "J", dtype=np.int32)
        table("J_regressor", "J", "V")
        table("J_template", "J", 3)
        table("J_exprdirs", "J", 3, "E")
        table("posedirs", "V", 3, "P")
        table("shapedirs", "V", 3, "S")
        table("eyeliddirs", "V", 3, 2)
        table("uvs", "U", 2)
        table("uv_faces", "F", 3, dtype=np.int32)
        table("arkit_map", 52, sizes["E"] + ARKIT_TAIL)
        vertex_count, joint_count = sizes["V"], sizes["J"]
        checks.indices(own, "faces", self.faces, vertex_count, "vertices")
        if (self.uvs is None) != (self.uv_faces is None):
            raise FormatError("HeadModel: uvs and uv_faces come together; one is missing")
        if self.uv_faces is not None and self.uvs is not None:
            checks.indices(own, "uv_faces", self.uv_faces, len(self.uvs), "texture coordinates")
        if sizes.get("P", 0) not in (0, 36):
            raise FormatError(f"HeadModel.posedirs: expected 36 or 0 columns, got {sizes['P']}")
        if (self.J_regressor is None) == (self.J_template is None):
            raise FormatError("HeadModel: give either J_regressor, or J_template with J_exprdirs")
        if not ((self.parents < np.arange(joint_count)) & (self.parents >= -1)).all():
            raise FormatError("HeadModel.parents: a parent must come before its children, the root's parent is -1")
        if joint_count and self.parents[0] != -1:
            raise FormatError(f"HeadModel.parents: the first joint must be the root (-1), got {self.parents[0]}")
        sums = self.lbs_weights.sum(axis=1)
        if vertex_count and np.abs(sums - 1).max() > 1e-3:
            raise FormatError(f"HeadModel.lbs_weights: rows must sum to 1, they span {sums.min():.4g}..{sums.max():.4g}")
        if self.eyelid_space not in ("rest", "posed"):
            raise FormatError(f"HeadModel.eyelid_space: expected 'rest' or 'posed', got '{self.eyelid_space}'")
        flame_like = joint_count == len(ROLES)
        checks.freeze(self, {
            "expr_names": tuple(self.expr_names) or tuple(f"expr{i:03d}" for i in range(sizes["E"])),
            "joint_names": tuple(self.joint_names) or (
                ROLES if flame_like else tuple(f"joint{i}" for i in range(joint_count))),
            "joint_roles": dict(self.joint_roles) or (
                {role: i for i, role in enumerate(ROLES)} if flame_like else {"root": 0}),
            "regions": {k: checks.array(own, f"regions[{k}]", v, (None,), {}, np.int32)
                        for k, v in self.regions.items()},
            "landmarks": {k: checks.array(own, f"landmarks[{k}]", v, (None,) * np.ndim(v), {},
                                          np.int32 if "idx" in k else np.float32) for k, v in self.landmarks.items()},
        })
        for name, names, count in (("expr_names", self.expr_names, sizes["E"]),
                                   ("joint_names", self.joint_names, joint_count)):
            if len(names) != count or len(set(names)) != count:
                raise FormatError(f"HeadModel.{name}: expected {count} different names, got {len(names)}")
        for role, joint in self.joint_roles.items():
            if role not in ROLES or not 0 <= joint < joint_count:
                raise FormatError(f"HeadModel.joint_roles: '{role}': {joint} names no role or no joint")
        for name, ids in self.regions.items():
            checks.indices(own, f"regions[{name}]", ids, vertex_count, "vertices")
        for name, ids in self.landmarks.items():
            if name.endswith("faces_idx"):
                checks.indices(own, f"landmarks[{name}]", ids, len(self.faces), "faces")
        if not self.content_hash:
            checks.freeze(self, {"content_hash": self._hash()})

    def _hash(self) -> str:
        digest = hashlib.sha256(self.edition.encode())
        for name in ("v_template", "faces", "shapedirs", "exprdirs", "posedirs", "J_regressor", "J_template",
                     "J_exprdirs", "lbs_weights", "parents"):
            value = getattr(self, name)
            if value is not None:
                digest.update(f"{name}{value.shape}".encode() + value.astype(value.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()

    def personalise(self, shape: np.ndarray | None = None, offset: np.ndarray | None = None) -> "HeadModel":
        """Return this head with identity put into `v_template`, and without identity directions.

        Args:
            shape: Identity coefficients, up to S of them.
            offset: Metres per vertex, [V, 3]: a static offset, or learned deltas.
        """
        v = self.v_template.astype(np.float64)
        if shape is not None and len(shape):
            available = 0 if self.shapedirs is None else self.shapedirs.shape[2]
            if len(shape) > available:
                raise FormatError(f"identity has {len(shape)} coefficients, but the head only {available} shapedirs")
            assert self.shapedirs is not None
            v = v + self.shapedirs[:, :, :len(shape)] @ np.asarray(shape, np.float64)
        if offset is not None:
            v = v + np.asarray(offset, np.float64)
        return dataclasses.replace(self, v_template=v.astype(np.float32), shapedirs=None)

    def rest_joints(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rest joints [J, 3] and their motion per unit expression [J, 3, E], float64, metres."""
        if self.J_regressor is not None:
            regressor = self.J_regressor.astype(np.float64)
            return regressor @ self.v_template, np.einsum("jv,vce->jce", regressor, self.exprdirs, optimize=True)
        assert self.J_template is not None
        still = np.zeros((*self.J_template.shape, len(self.expr_names)))
        return self.J_template.astype(np.float64), still if self.J_exprdirs is None else self.J_exprdirs.astype(float)


assert len(ARKIT_52) == 52
