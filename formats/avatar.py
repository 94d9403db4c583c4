"""The avatar: a head, layers that ride it, and what a network or a table adds to them.

What these numbers *mean* is `formats.deform` and `formats.render`; the field-by-field file layout is `formats/SPEC.md`.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from formats import checks, terms
from formats.coefficient_function import CoefficientFunction
from formats.errors import BindingError, CheckpointMismatch, FormatError, UnsupportedFeature
from formats.gaussians import GaussianCloud
from formats.head_model import HeadModel
from formats.sequence import Sequence
from formats.uv_maps import UVMaps

FRAMES = ("face", "vertex", "corner", "root", "none")
SKIN_ROTATIONS = ("none", "skin", "surface")
DRIVER_FIELDS = ("expr", "rotation", "neck", "jaw", "eyes", "eyelids", "translation")
DERIVED_DRIVERS = {"jaw_6d": 6, "eyes_6d": 12, "absolute_pose": 6}
"""Drivers that every sequence has, and how many numbers each is: `Sequence.drivers` of that name where it is there (what a
tracker stored, exactly), else made from the fields. `jaw_6d` and `eyes_6d` (left, right): the first two rows of the rotation
matrix. `absolute_pose`: rotation, then translation."""
CHANNELS = {"means": 3, "rotvecs": 3, "log_scales": 3, "opacity_logits": 1, "rgb": 3}
"""What dynamics may move, and how many numbers that is per Gaussian."""


def _choice(owner: str, name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UnsupportedFeature(f"{owner}.{name}: unknown '{value}'; this version knows {', '.join(allowed)}")


@dataclass(frozen=True, eq=False)
class FaceBinding:
    """Each of N elements rides a triangle. Its local offset, rotation and scale are what the layer stores.

    The formulas of every value are in `formats.deform.face_frames`.
    """

    face_index: Int32[np.ndarray, " N"]
    barycentric: Float32[np.ndarray, "N 3"]
    """Rows sum to 1."""
    frame: str = "face"
    """`face`: axes from the first edge and the normal (GaussianAvatars, FateAvatar, OSGAP). `vertex`: rotations
    relative to `canonical_vertices`, blended over the corners; the offset's y runs along the Phong normal
    (SplattingAvatar). `root`: the root joint's axes (FlashAvatar, whose camera moves and whose head never turns).
    `corner`: the same, and a rotation made from the direction to the first corner is added to the stored one
    (FlashAvatar's Wasserstein variant). `none`: world axes (FateAvatar's version of FlashAvatar, whose head turns)."""
    offset_scale: str = "edge_height"
    """What multiplies the offset: `none`, `edge_height` or `double_area` (FateAvatar's unnormalised normal)."""
    splat_scale: str = "edge_height"
    """What multiplies scales: `none` or `edge_height`; `log_area_ratio` multiplies the log-scale (SplattingAvatar)."""
    canonical_vertices: Float32[np.ndarray, "V 3"] | None = None
    """The head's vertices that `frame='vertex'` and `log_area_ratio` are relative to, metres."""
    unit: float = 1.0
    """Metres in the unit of length that `frame='vertex'` and `log_area_ratio` compute in: their floors and logarithms are
    not free of scale. 0.25 for SplattingAvatar's own files, 1 for FateAvatar's version of it."""

    def __post_init__(self) -> None:
        own, sizes = "FaceBinding", {}
        set_ = {"face_index": checks.array(own, "face_index", self.face_index, ("N",), sizes, np.int32, BindingError),
                "barycentric": checks.array(own, "barycentric", self.barycentric, ("N", 3), sizes, error=BindingError)}
        _choice(own, "frame", self.frame, FRAMES)
        _choice(own, "offset_scale", self.offset_scale, ("none", "edge_height", "double_area"))
        _choice(own, "splat_scale", self.splat_scale, ("none", "edge_height", "log_area_ratio"))
        if not 0 < self.unit < 1e6:
            raise BindingError(f"FaceBinding.unit: expected metres per unit, got {self.unit}")
        sums = set_["barycentric"].sum(axis=1)
        if sums.size and np.abs(sums - 1).max() > 1e-3:
            raise BindingError(f"FaceBinding.barycentric: rows must sum to 1, they span {sums.min():.4g}..{sums.max():.4g}")
        if "vertex" == self.frame or "log_area_ratio" == self.splat_scale:
            if self.canonical_vertices is None:
                raise BindingError("FaceBinding.canonical_vertices: needed by frame 'vertex' and by 'log_area_ratio'")
            set_["canonical_vertices"] = checks.array(own, "canonical_vertices", self.canonical_vertices,
                                                      (None, 3), {}, error=BindingError)
        checks.freeze(self, set_)

    def __len__(self) -> int:
        return len(self.face_index)


@dataclass(frozen=True, eq=False)
class SkinBinding:
    """Each of N elements is deformed like a vertex: blendshapes at rest, then linear blend skinning.

    Either `vertex_index` names head vertices whose tables it shares (LAM: one Gaussian per vertex), or it brings its own.
    """

    vertex_index: Int32[np.ndarray, " N"] | None = None
    exprdirs: Float32[np.ndarray, "N 3 E"] | None = None
    posedirs: Float32[np.ndarray, "N 3 P"] | None = None
    eyeliddirs: Float32[np.ndarray, "N 3 2"] | None = None
    lbs_weights: Float32[np.ndarray, "N J"] | None = None
    """Rows sum to at most 1; what is missing stays put (a ghost bone)."""
    rotation: str = "none"
    """How quaternions turn. `none`: not at all (MonoGaussianAvatar). `skin`: by the blended joint rotation (Gaussian
    Head Avatar). `surface`: by the rotation of the one-ring around `vertex_index` (LAM)."""

    def __post_init__(self) -> None:
        own, sizes, set_ = "SkinBinding", {}, {}
        _choice(own, "rotation", self.rotation, SKIN_ROTATIONS)
        for name, shape, dtype in (("vertex_index", ("N",), np.int32), ("exprdirs", ("N", 3, "E"), np.float32),
                                   ("posedirs", ("N", 3, "P"), np.float32), ("eyeliddirs", ("N", 3, 2), np.float32),
                                   ("lbs_weights", ("N", "J"), np.float32)):
            if getattr(self, name) is not None:
                set_[name] = checks.array(own, name, getattr(self, name), shape, sizes, dtype, BindingError)
        if (self.vertex_index is None) == (self.lbs_weights is None):
            raise BindingError("SkinBinding: give either vertex_index, or lbs_weights with its own blendshapes")
        if self.vertex_index is not None and (set_.keys() - {"vertex_index"}):
            raise BindingError("SkinBinding: vertex_index shares the head's tables; it brings none of its own")
        if self.rotation == "surface" and self.vertex_index is None:
            raise BindingError("SkinBinding.rotation: 'surface' needs vertex_index, for the ring around each element")
        if self.lbs_weights is not None and len(self.lbs_weights):
            sums = set_["lbs_weights"].sum(axis=1)
            if sums.max() > 1 + 1e-3 or sums.min() < -1e-3:
                raise BindingError(f"SkinBinding.lbs_weights: rows span {sums.min():.4g}..{sums.max():.4g}, not 0..1")
        checks.freeze(self, set_)

    def __len__(self) -> int:
        held = self.vertex_index if self.vertex_index is not None else self.lbs_weights
        assert held is not None
        return len(held)


Binding = FaceBinding | SkinBinding


@dataclass(frozen=True, eq=False)
class Network:
    """An ONNX graph with named inputs and outputs.

    Inputs are read from the frame: `DRIVER_FIELDS`, `DERIVED_DRIVERS` or names of `Sequence.drivers`, each as float32
    [1, D]; a layer's network in posed space may also take `posed_means` [N, 3], where the binding put them, world space,
    metres. The avatar's decoder takes `features` [1, C, h, w] alone.
    Outputs are float32 and of a fixed vocabulary: `delta_means`, `delta_rotvecs`, `delta_log_scales`,
    `delta_opacity_logits`, `delta_rgb` [N, C], `features` [N, C] (what a decoder's feature image is drawn with),
    `coefficients` [1, K], `shading_weights` [1, W], and a decoder's `image` [1, 3, H, W], display sRGB.
    """

    onnx: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    space: str = "canonical"
    """Where deltas apply: `canonical` (before the binding) or `posed` (after it)."""

    VOCABULARY = ("delta_means", "delta_rotvecs", "delta_log_scales", "delta_opacity_logits", "delta_rgb",
                  "features", "coefficients", "shading_weights", "image")

    def __post_init__(self) -> None:
        _choice("Network", "space", self.space, ("canonical", "posed"))
        for name in self.outputs:
            _choice("Network", "outputs", name, self.VOCABULARY)
        checks.freeze(self, {"inputs": tuple(self.inputs), "outputs": tuple(self.outputs)})


@dataclass(frozen=True, eq=False)
class LinearDynamics:
    """Tables T and coefficients c(driver): `delta[n] = sum_k T[n, k] * c_k`, per channel of `CHANNELS`.

    Deltas: `means` add in metres, or in the binding's local units when canonical; `rotvecs` turn after the stored
    rotation when canonical and before it (in world axes) when posed; `log_scales` multiply by their exponential;
    `opacity_logits` add to the logit; `rgb` adds to the colour.
    """

    tables: Mapping[str, np.ndarray]
    """Channel name to [N, K, C] float32; channels that do not move are left out."""
    driver: tuple[str, ...]
    """`DRIVER_FIELDS` (cut to what fits) or driver names, concatenated: c itself, or the input of `network`."""
    driver_mean: Float32[np.ndarray, " D"] | None = None
    """Subtracted from the driver first."""
    network: str | None = None
    """Name of the avatar's `Network` that gives `coefficients` [1, K]; None when a function does, or the driver is c."""
    space: str = "canonical"
    function: CoefficientFunction | None = None
    """What gives c instead of a network; every player works it out itself."""

    def __post_init__(self) -> None:
        sizes: dict[str, int] = {}
        _choice("LinearDynamics", "space", self.space, ("canonical", "posed"))
        if self.function is not None and self.network is not None:
            raise BindingError(f"LinearDynamics: network '{self.network}' and a function; one of them gives the coefficients")
        for name in self.tables:
            _choice("LinearDynamics", "tables", name, tuple(CHANNELS))
        tables = {k: checks.array("LinearDynamics", k, v, ("N", "K", CHANNELS[k]), sizes, error=BindingError)
                  for k, v in self.tables.items()}
        if not tables:
            raise BindingError("LinearDynamics.tables: no channel moves; leave the dynamics out")
        mean = self.driver_mean
        if mean is not None:
            mean = checks.array("LinearDynamics", "driver_mean", mean, (None,), {}, error=BindingError)
        if self.function is not None:
            if len(self.function.bias) != sizes["K"]:
                raise BindingError(f"LinearDynamics: tables of rank {sizes['K']}, a function of {len(self.function.bias)} "
                                   "coefficients")
            if mean is not None and len(mean) != len(self.function.low):
                raise BindingError(f"LinearDynamics: a mean of {len(mean)} driving numbers, a function of "
                                   f"{len(self.function.low)}")
        checks.freeze(self, {"tables": tables, "driver": tuple(self.driver), "driver_mean": mean})


Dynamics = LinearDynamics | str
"""Linear dynamics, or the name of one of the avatar's networks."""


@dataclass(frozen=True, eq=False)
class SplatLayer:
    """Gaussians riding the head; `cloud` is in the binding's local space.

    On a `FaceBinding`: `means` are offsets and `quats` rotations in the triangle's frame, both and `scales` in the
    units its size options name. On a `SkinBinding`: rest space, metres.
    """

    cloud: GaussianCloud
    binding: Binding
    dynamics: Dynamics | None = None
    sh_frame: str = "world"
    """In which axes view directions meet the SH: `world`, or `head` (turned back by the root rotation)."""
    name: str = "splats"

    def __post_init__(self) -> None:
        _choice("SplatLayer", "sh_frame", self.sh_frame, ("world", "head"))
        if len(self.cloud) != len(self.binding):
            raise BindingError(f"SplatLayer '{self.name}': {len(self.cloud)} Gaussians, {len(self.binding)} bindings")
        if isinstance(self.dynamics, LinearDynamics):
            n = len(next(iter(self.dynamics.tables.values())))
            if n != len(self.cloud):
                raise BindingError(f"SplatLayer '{self.name}': {len(self.cloud)} Gaussians, dynamics for {n}")


@dataclass(frozen=True, eq=False)
class BasisMix:
    """BakedAvatar's shading: a per-pixel MLP of position feature, normal and view direction mixes K radiance bases.

    `colour = sum_k softmax(temperature * W2 relu(W1 x))_k bases_k` with `x` = position feature (D), normal (3), view
    direction (3), camera to point, both in `space`; W1 [H, D+6] and W2 [K, H] come row-major from the network's
    `shading_weights`. Duan et al., "BakedAvatar", ACM TOG 2023, eq. 8.
    """

    bases: Float32[np.ndarray, "K H W 3"] | UInt8[np.ndarray, "K H W 3"]
    """0..1, or as 8 bits in 0..255, a quarter of the memory; the same goes for the two maps below."""
    alpha: Float32[np.ndarray, "H W"] | UInt8[np.ndarray, "H W"]
    position_features: Float32[np.ndarray, "H W D"] | UInt8[np.ndarray, "H W D"]
    weights_from: str
    """Name of the avatar's network that gives `shading_weights`."""
    hidden: int = 16
    temperature: float = 10.0
    space: str = "view"
    """Axes for normal and view direction: `world`, or `view` (OpenGL's: x right, y up, z towards the viewer)."""

    def __post_init__(self) -> None:
        sizes: dict[str, int] = {}
        _choice("BasisMix", "space", self.space, ("view", "world"))
        for name, shape in (("bases", ("K", "H", "W", 3)), ("alpha", ("H", "W")), ("position_features", ("H", "W", "D"))):
            value = getattr(self, name)
            kept = np.uint8 if getattr(value, "dtype", None) == np.uint8 else np.float32
            checks.freeze(self, {name: checks.array("BasisMix", name, value, shape, sizes, kept)})


@dataclass(frozen=True, eq=False)
class MeshLayer:
    """A textured mesh riding the head. Mesh layers of an avatar are drawn in order, innermost first."""

    vertices: Float32[np.ndarray, "V 3"]
    """Rest space, metres."""
    normals: Float32[np.ndarray, "V 3"]
    faces: Int32[np.ndarray, "F 3"]
    uvs: Float32[np.ndarray, "U 2"]
    uv_faces: Int32[np.ndarray, "F 3"]
    binding: SkinBinding
    shading: BasisMix | None = None
    texture: Float32[np.ndarray, "H W 4"] | None = None
    """RGBA, display sRGB, straight alpha; when there is no `shading`."""
    opaque: bool = False
    """Draw with alpha 1 (BakedAvatar's layer 0)."""
    name: str = "mesh"

    def __post_init__(self) -> None:
        own, sizes, set_ = f"MeshLayer '{self.name}'", {}, {}
        for name, shape, dtype in (("vertices", ("V", 3), np.float32), ("normals", ("V", 3), np.float32),
                                   ("faces", ("F", 3), np.int32), ("uvs", ("U", 2), np.float32),
                                   ("uv_faces", ("F", 3), np.int32)):
            set_[name] = checks.array(own, name, getattr(self, name), shape, sizes, dtype)
        checks.indices(own, "faces", set_["faces"], sizes["V"], "vertices")
        checks.indices(own, "uv_faces", set_["uv_faces"], sizes["U"], "texture coordinates")
        if (self.shading is None) == (self.texture is None):
            raise FormatError(f"{own}: give either shading or texture")
        if self.texture is not None:
            set_["texture"] = checks.array(own, "texture", self.texture, (None, None, 4), {})
        if len(self.binding) != sizes["V"]:
            raise BindingError(f"{own}: {sizes['V']} vertices, {len(self.binding)} bindings")
        checks.freeze(self, set_)


@dataclass(frozen=True, eq=False)
class StrandLayer:
    """Hair: M polylines of P points, each rigid with the triangle its root rides.

    Each segment is drawn as one Gaussian: mean at its middle, scales (segment_scale length, width, width) with the first
    axis along it.
    """

    points: Float32[np.ndarray, "M P 3"]
    """In the root's triangle frame, in the units of the binding's `offset_scale`; the first point is the root."""
    widths: Float32[np.ndarray, "M P"]
    """Standard deviation across the strand, metres; a segment takes its first point's."""
    rgb: Float32[np.ndarray, "M P 3"]
    opacities: Float32[np.ndarray, "M P"]
    binding: FaceBinding
    name: str = "strands"
    segment_scale: float = 0.5
    """Standard deviation along a segment, in its lengths. 0.55 in Gaussian Head Avatar's fork."""

    def __post_init__(self) -> None:
        own, sizes = f"StrandLayer '{self.name}'", {}
        set_ = {"points": checks.array(own, "points", self.points, ("M", "P", 3), sizes),
                "widths": checks.array(own, "widths", self.widths, ("M", "P"), sizes),
                "rgb": checks.array(own, "rgb", self.rgb, ("M", "P", 3), sizes),
                "opacities": checks.array(own, "opacities", self.opacities, ("M", "P"), sizes)}
        if not 0 < self.segment_scale < 1e3:
            raise FormatError(f"{own}: segment_scale {self.segment_scale}; expected a positive share of a segment's length")
        if sizes["P"] < 2:
            raise FormatError(f"{own}: a strand needs two points, got {sizes['P']}")
        if len(self.binding) != sizes["M"]:
            raise BindingError(f"{own}: {sizes['M']} strands, {len(self.binding)} bindings")
        checks.freeze(self, set_)


Layer = SplatLayer | MeshLayer | StrandLayer


@dataclass(frozen=True)
class Meta:
    """Where an avatar comes from. Everything is text, for people."""

    name: str = "avatar"
    system: str = ""
    """One of the command line's SYSTEM names, or `standin`."""
    source: str = ""
    """The file or run it was made from; a name, never a path of somebody's machine."""
    paper: str = ""
    license_notices: tuple[str, ...] = ()
    """Terms that come with the data, one sentence each. `Avatar` adds those of its head's tables (`formats.terms`)."""
    tool: str = ""


@dataclass(frozen=True, eq=False)
class Avatar:
    """A head, what rides it, and what it came from."""

    head: HeadModel
    layers: tuple[Layer, ...] = ()
    networks: Mapping[str, Network] = field(default_factory=dict)
    maps: UVMaps | None = None
    """Images on the head's UV layout; `albedo` textures the head mesh in targets that show one."""
    vertex_rgb: Float32[np.ndarray, "V 3"] | None = None
    """Display sRGB per head vertex, for heads without UVs."""
    sequence: Sequence | None = None
    """The clip to play when none is given."""
    decoder: str | None = None
    """Name of the network that turns a feature image into the picture."""
    decoder_scale: int = 1
    """Pixels of the picture for each pixel of the feature image, along an axis."""
    meta: Meta = Meta()

    def __post_init__(self) -> None:
        head, joints = self.head, len(self.head.parents)
        notices = terms.with_tables(self.meta.license_notices, head.edition)
        checks.freeze(self, {"layers": tuple(self.layers), "networks": dict(self.networks),
                             "meta": dataclasses.replace(self.meta, license_notices=notices)})
        if self.vertex_rgb is not None:
            checks.freeze(self, {"vertex_rgb": checks.array("Avatar", "vertex_rgb", self.vertex_rgb,
                                                            (len(head.v_template), 3), {})})
        if len({layer.name for layer in self.layers}) != len(self.layers):
            raise FormatError("Avatar.layers: two layers have the same name")
        for layer in self.layers:
            where, binding = f"layer '{layer.name}'", layer.binding
            if isinstance(binding, FaceBinding):
                checks.indices(where, "face_index", binding.face_index, len(head.faces), "faces", BindingError)
                if binding.canonical_vertices is not None and len(binding.canonical_vertices) != len(head.v_template):
                    raise BindingError(f"{where}: canonical_vertices has {len(binding.canonical_vertices)} rows, the "
                                       f"head {len(head.v_template)} vertices")
            elif binding.vertex_index is not None:
                checks.indices(where, "vertex_index", binding.vertex_index, len(head.v_template), "vertices",
                               BindingError)
            else:
                assert binding.lbs_weights is not None
                expressions = 0 if binding.exprdirs is None else binding.exprdirs.shape[2]
                if binding.lbs_weights.shape[1] != joints or expressions > len(head.expr_names):
                    raise BindingError(f"{where}: weights for {binding.lbs_weights.shape[1]} joints and {expressions} "
                                       f"expressions; the head has {joints} and {len(head.expr_names)}")
            if isinstance(layer, SplatLayer) and layer.dynamics is not None:
                named = layer.dynamics if isinstance(layer.dynamics, str) else layer.dynamics.network
                if named is not None and named not in self.networks:
                    raise _missing_network(where, named)
            if isinstance(layer, MeshLayer) and layer.shading and layer.shading.weights_from not in self.networks:
                raise _missing_network(where, layer.shading.weights_from)
        if self.decoder is not None and self.decoder not in self.networks:
            raise _missing_network("decoder", self.decoder)
        if self.sequence is not None:
            check_driver(self.head, self.sequence)


def _missing_network(where: str, name: str) -> FormatError:
    return FormatError(f"{where}: refers to network '{name}', which the avatar does not hold")


def check_driver(head: HeadModel, sequence: Sequence) -> None:
    """Raise `CheckpointMismatch` unless `sequence` speaks the coefficient space of `head`."""
    if sequence.basis != head.edition:
        raise CheckpointMismatch(
            f"the sequence is in '{sequence.basis}' coefficients, the avatar's head is '{head.edition}'; they are not "
            "interchangeable. Convert it with `flameport sequence SRC --for AVATAR`")
    if sequence.edition and sequence.edition != head.content_hash:
        raise CheckpointMismatch(
            f"the sequence was made with head {sequence.edition[:12]}, the avatar rides {head.content_hash[:12]}: same "
            "edition name, different tables. Use the head file the sequence was tracked with")
    names = sequence.expr_names or head.expr_names[:sequence.expr.shape[1]]
    if sequence.expr.shape[1] > len(head.expr_names) and not sequence.expr_names:
        raise CheckpointMismatch(f"the sequence has {sequence.expr.shape[1]} expressions, the head "
                                 f"{len(head.expr_names)}; cut it or use the head it was tracked with")
    unknown = [n for n in names if n not in head.expr_names]
    if unknown:
        raise CheckpointMismatch(f"the sequence drives '{unknown[0]}'{f' and {len(unknown) - 1} more' * (len(unknown) > 1)}"
                                 ", which the head does not have; `flameport sequence SRC --for AVATAR` maps names")
    absent = [n for n in sequence.joints if n not in head.joint_names]
    if absent:
        raise CheckpointMismatch(f"the sequence turns joint '{absent[0]}', which the head does not have")
