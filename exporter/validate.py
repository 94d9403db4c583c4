"""Proof: read an export back, pose it, draw it, and say in numbers how far it is from the bundle it was made from."""

import dataclasses
import importlib
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np

from exporter import glb_check, khronos, ktx2
from exporter.capabilities import fit
from exporter.glb_layer_measures import has_half_networks, is_lossy, mesh_errors, mesh_measures, plain_layer_measures
from exporter.glb_losses import PROMISE, farthest, limit_losses, picture_camera
from exporter.glb_textures import with_drivers
from exporter.ops.byte_maps import byte_maps
from exporter.ops.limit_head import keep_expressions, keep_joints
from exporter.ops.limit_influences import limit_influences
from exporter.plain_player import PlainPlayer
from exporter.targets import glb, textures
from exporter.validation_report import Measure, ValidationReport, decibels, largest_distance
from formats import codecs
from formats.avatar import Avatar, MeshLayer, check_driver
from formats.codecs import glb_avatar, unity_avatar
from formats.codecs.glb import read_document
from formats.codecs.json_file import Fields, read_json
from formats.deform import PosedMesh, PosedSplats, deform, deform_head, rest_sequence
from formats.errors import CheckpointMismatch, FormatError, MissingAsset
from formats.gaussians import GaussianCloud
from formats.render import RenderOptions, psnr, render_avatar
from formats.retarget import with_head_motion
from formats.rotations import quat_angle
from formats.sequence import LINEAR_FIELDS, ROTATION_FIELDS, Sequence

PICTURES = 3
"""How many of the frames are also drawn."""
PICTURE_SIZE = 256
"""Pixels each way; small, because the reference renderer is slow and the measure hardly depends on it."""
METRES = {"plain": 1e-5, "full": 1e-5, "small": PROMISE}
"""Posed vertices and means per grade."""
PICTURE_DB = {"plain": 60.0, "full": 60.0, "small": 40.0}
"""The same tables drawn by the same renderer: far above what a viewer must reach."""
RELATIVE = 1e-4
"""Rotations in radians, scales relative, opacity and colour absolute."""
TINY_SCALE = 1e-6
"""Metres; thinner Gaussians are not compared in scale."""

Progress = Callable[[str], None]


def _is_lam(path: Path) -> bool:
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(PurePosixPath(name).name == "skin.glb" for name in archive.namelist())


def _is_small_unity(path: Path) -> bool:
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return unity_avatar.sniff(file.read(16))


CHECKS: tuple[tuple[Callable[[Path], bool], str], ...] = (
    (lambda path: (path / textures.ABOUT).is_file(), "exporter.textures_check"),
    (lambda path: (path / "networks.json").is_file(), "exporter.onnx_check"),
    (lambda path: (path / "mesh_data" / "metadata.json").is_file(), "exporter.baked_web_check"),
    (lambda path: path.suffix.lower() == ".spz" or path.is_dir() and any(path.glob("*.spz")), "exporter.spz_check"),
    (lambda path: path.suffix.lower() == ".ply" or path.is_dir() and any(path.glob("*.ply")), "exporter.ply_check"),
    (_is_lam, "exporter.lam_check"),
    (_is_small_unity, "exporter.unity_check"),
)
"""How a target's file or folder is told, and the module whose `check` reads it back; the others are told by `codecs.sniff`."""


def validate(path: Path, avatar: Avatar, frames: int = 10, progress: Progress | None = None) -> ValidationReport:
    """Return how far the export at `path` is from `avatar`.

    Args:
        path: What `flameport export` wrote.
        avatar: The bundle it was made from.
        frames: How many frames of the clip to pose, spread over it.
        progress: Told what is going on.

    Raises:
        FormatError: It is none of those, or damaged.
        CheckpointMismatch: It was made from another head.
    """
    path, tell = Path(path), progress or (lambda _: None)
    if path.is_dir() and (path / "manifest.json").is_file():
        return _validate_web(path, avatar, frames, tell)
    for told_by, name in CHECKS:
        if told_by(path):
            return importlib.import_module(name).check(path, avatar, frames, tell)
    kind = codecs.sniff(path)
    if kind == "glb":
        return _validate_glb(path, avatar, frames, tell)
    if kind in ("sequence_json", "sequence_binary"):
        return _validate_sequence(path, avatar)
    raise FormatError(f"{path}: is {kind}; expected what `flameport export` wrote: a GLB, PLY, SPZ, sequence, LAM zip, Unity "
                      "asset, or a folder of a page, textures, networks, stills or BakedAvatar's demo")


# --- GLB --------------------------------------------------------------------------------------------------------------


def _validate_glb(path: Path, avatar: Avatar, frames: int, tell: Progress) -> ValidationReport:
    tell("reading back")
    document = read_document(path)
    back = glb_avatar.from_document(document, ktx2.decode)
    root = document.extension(glb_avatar.EXTENSION)
    assert root is not None
    grade = root.text("grade")
    fitted = fit(avatar, glb.CAPABILITIES)
    if back.head.content_hash != avatar.head.content_hash or back.head.v_template.shape != avatar.head.v_template.shape:
        raise CheckpointMismatch(f"{path}: rides head {back.head.content_hash[:12]}, the bundle "
                                 f"{avatar.head.content_hash[:12]}; validate it against the bundle it was made from")
    names = [layer.name for layer in back.layers]
    if names != [layer.name for layer in fitted.avatar.layers]:
        raise CheckpointMismatch(f"{path}: holds layers {', '.join(names) or 'none'}, the bundle would give "
                                 f"{', '.join(layer.name for layer in fitted.avatar.layers) or 'none'}")
    whole = fitted.avatar
    fitted = dataclasses.replace(fitted, avatar=as_limited(whole, back, path))
    sequence = back.sequence or rest_sequence(back.head)
    times = [float(t) for t in np.unique(np.linspace(0, len(sequence) - 1, max(frames, 1)).round())]
    measures = [Measure("structure, own check: problems", float(len(glb_check.problems(document))), "", 0)]
    tell("posing")
    sequence = with_drivers(sequence, back, *back.networks)
    # Float16 networks are judged by the picture; what they move, by the same networks on both sides.
    posed = dataclasses.replace(fitted.avatar, networks=back.networks) if has_half_networks(root) else fitted.avatar
    measures += posed_measures(posed, back, sequence, times, METRES[grade], judged=grade != "small")
    if grade == "small":
        off = farthest(fitted.avatar, back)
        measures.append(Measure("posed points, random expressions and turns too", off * 1e3, "mm", METRES[grade] * 1e3))
    limits = tuple(limit_losses(whole, fitted.avatar))
    measures += picture_measures(fitted.avatar, back, sequence, times,
                                  PICTURE_DB["small" if is_lossy(document, root) else grade], tell)
    notes = []
    if back.sequence is not None:
        clip = clip_measure(fitted.avatar, back.sequence, METRES[grade])
        if clip is None:
            notes.append("the clip's keys: the bundle holds another clip, or none")
        else:
            measures.append(clip)
        tell("posing as a plain glTF player")
        player = PlainPlayer(document, root.fields("head").integer("node"))
        measures += _plain_measures(player, glb_avatar.vertex_places(document), back, sequence, times, METRES[grade])
        measures += plain_layer_measures(document, root, back, sequence, times, METRES[grade])
    if khronos.available():
        tell("asking the Khronos validator")
        measures.append(Measure("Khronos validator: errors and warnings",
                                float(len(khronos.complaints(khronos.run(path)))), "", 0))
    else:
        notes.append("Khronos validator: needs Node and `scripts/build --tests`")
    return ValidationReport(f"glb {grade}", tuple(measures), (*fitted.losses, *limits), tuple(notes))


def as_limited(avatar: Avatar, back: Avatar, path: Path) -> Avatar:
    """Return the part of the bundle that the file was asked to hold, by the expressions and joints it names."""
    for what, held, own in (("expression", back.head.expr_names, avatar.head.expr_names),
                            ("joint", back.head.joint_names, avatar.head.joint_names)):
        unknown = [name for name in held if name not in own]
        if unknown:
            raise CheckpointMismatch(f"{path}: holds {what} '{unknown[0]}', which the bundle's head does not have; validate "
                                     "it against the bundle it was made from")
    return byte_maps(keep_joints(keep_expressions(avatar, back.head.expr_names), back.head.joint_names))


def posed_measures(avatar: Avatar, back: Avatar, sequence: Sequence, times: list[float], bound: float,
                    judged: bool = True) -> list[Measure]:
    """Return the largest differences of head, mesh layers and Gaussians over the frames."""
    head, meshes = 0.0, []
    errors: dict[str, float] = dict.fromkeys(("means", "quats", "scales", "opacities", "sh"), 0.0)
    for t in times:
        a, b = deform(avatar, sequence, t), deform(back, sequence, t)
        head = max(head, largest_distance(a.head.vertices, b.head.vertices))
        for one, other in zip(a.layers, b.layers, strict=True):
            if type(one) is not type(other):
                raise CheckpointMismatch(f"layer '{one.name}' is of another kind in the file; was it made from this bundle?")
            if isinstance(one, PosedMesh):
                assert isinstance(other, PosedMesh)
                if len(one.vertices) != len(other.vertices):
                    raise CheckpointMismatch(f"layer '{one.name}': {len(other.vertices)} vertices, the bundle gives "
                                             f"{len(one.vertices)}; was it made from this bundle?")
                meshes.append(mesh_errors(one, other))
                continue
            assert isinstance(one, PosedSplats) and isinstance(other, PosedSplats)
            for name, value in cloud_errors(one.cloud, other.cloud).items():
                errors[name] = max(errors[name], value)
    measures = [Measure("head vertices", head * 1e3, "mm", bound * 1e3)]
    measures += mesh_measures(meshes, bound, judged)
    if not all(isinstance(layer, MeshLayer) for layer in back.layers):
        measures += cloud_measures(errors, bound, judged)
    return measures


def cloud_measures(errors: dict[str, float], bound: float, judged: bool = True) -> list[Measure]:
    """Return rows for people; what a small file rounds on purpose is judged by the picture."""
    relative = RELATIVE if judged else None
    return [Measure("Gaussian means", errors["means"] * 1e3, "mm", bound * 1e3),
            Measure("Gaussian rotations", errors["quats"], "rad", relative),
            Measure("Gaussian scales", errors["scales"], "relative", relative),
            Measure("Gaussian opacities", errors["opacities"], "", relative),
            Measure("Gaussian colours (SH)", errors["sh"], "", relative)]


def cloud_errors(a: GaussianCloud, b: GaussianCloud) -> dict[str, float]:
    """Return the largest differences of two clouds of the same Gaussians: metres, radians, relative, absolute."""
    if len(a) != len(b):
        raise CheckpointMismatch(f"{len(b)} Gaussians, the bundle gives {len(a)}; was it made from this bundle?")
    thick = a.scales > TINY_SCALE
    relative = np.abs(b.scales[thick].astype(np.float64) / a.scales[thick] - 1)
    bands = max(a.sh.shape[1], b.sh.shape[1])
    sh = [np.pad(c.sh, ((0, 0), (0, bands - c.sh.shape[1]), (0, 0))) for c in (a, b)]
    return {"means": largest_distance(a.means, b.means), "quats": float(quat_angle(a.quats, b.quats).max(initial=0)),
            "scales": float(relative.max(initial=0)), "opacities": float(np.abs(a.opacities - b.opacities).max(initial=0)),
            "sh": float(np.abs(sh[0] - sh[1]).max(initial=0))}


def picture_measures(fitted: Avatar, back: Avatar, sequence: Sequence, times: list[float], bound: float,
                      tell: Progress) -> list[Measure]:
    """Return the worst PSNR of a few pictures."""
    if not back.layers:
        return []
    camera, options = picture_camera(fitted, PICTURE_SIZE), RenderOptions()
    chosen, worst = [times[i] for i in np.unique(np.linspace(0, len(times) - 1, PICTURES).round().astype(int))], []
    for i, t in enumerate(chosen):
        tell(f"drawing {i + 1} of {len(chosen)}")
        pictures = [render_avatar(each, sequence, t, camera, options).rgb for each in (fitted, back)]
        worst.append(decibels(psnr(*pictures)))
    return [Measure("picture", min(worst), "dB", bound, at_least=True)]


def clip_measure(avatar: Avatar, clip: Sequence, bound: float) -> Measure | None:
    """Return how far the head is off when the file's clip plays in place of the bundle's; None if it is another clip."""
    if avatar.sequence is None or len(avatar.sequence) != len(clip) or avatar.sequence.fps != clip.fps:
        return None
    largest = []
    for mode in ("head", "camera"):
        own = with_head_motion(avatar.sequence, avatar.head, mode)
        frames = np.unique(np.linspace(0, len(clip) - 1, 10).round().astype(int))
        largest.append(max(largest_distance(deform_head(avatar.head, own.take([int(i)])).vertices,
                                     deform_head(avatar.head, clip.take([int(i)])).vertices) for i in frames))
    return Measure("the clip's keys, on the head", min(largest) * 1e3, "mm", bound * 1e3)


def _plain_measures(player: PlainPlayer, places: np.ndarray, back: Avatar, sequence: Sequence, times: list[float],
                    bound: float) -> list[Measure]:
    """Return what players that do not know us make of the head.

    The bound is for what such a player can do: four joints a vertex, lids before skinning. What that costs is told.
    `places` says where each of the head's vertices is stored.
    """
    reachable = dataclasses.replace(limit_influences(back.head, 4), eyelid_space="rest")
    correctives = slice(-36, None)
    key, truth, between, sliders = 0.0, 0.0, 0.0, 0.0
    for t in times:
        seconds = t / sequence.fps
        posed, frame = player.vertices(seconds)[places], sequence.sample(t)
        key = max(key, largest_distance(deform_head(reachable, frame).vertices, posed))
        truth = max(truth, largest_distance(deform_head(back.head, frame).vertices, posed))
        if back.head.posedirs is not None:
            sliders = max(sliders, largest_distance(player.vertices(seconds, correctives)[places], posed))
        if t + 1 < len(sequence):
            middle = player.vertices((t + 0.5) / sequence.fps)[places]
            between = max(between, largest_distance(deform_head(reachable, sequence.sample(t + 0.5)).vertices, middle))
    measures = [Measure("plain glTF player at keys", key * 1e3, "mm", bound * 1e3),
                Measure("plain glTF player at keys, against all joints and our lids", truth * 1e3, "mm")]
    if len(sequence) > 1:
        measures.append(Measure("plain glTF player half-way between keys", between * 1e3, "mm"))
    if back.head.posedirs is not None:
        measures.append(Measure("plain sliders without the correctives", sliders * 1e3, "mm"))
    return measures


# --- PLY, sequence, web -----------------------------------------------------------------------------------------------


def _validate_sequence(path: Path, avatar: Avatar) -> ValidationReport:
    clip = codecs.read_sequence(path)
    check_driver(avatar.head, clip)
    if avatar.sequence is None:
        raise MissingAsset(f"{path}: the bundle holds no clip to compare with; the file itself reads well and fits its head")
    own = avatar.sequence
    if len(clip) != len(own):
        raise CheckpointMismatch(f"{path}: {len(clip)} frames, the bundle's clip {len(own)}; compare with the bundle it "
                                 "was made from")
    largest = max(float(np.abs(getattr(clip, name) - getattr(own, name)).max(initial=0))
                  for name in (*LINEAR_FIELDS, *ROTATION_FIELDS) if getattr(clip, name).shape == getattr(own, name).shape)
    for group in ("joints", "drivers", "cameras"):
        mine, theirs = getattr(own, group), getattr(clip, group)
        if set(mine) != set(theirs):
            raise CheckpointMismatch(f"{path}: {group} {', '.join(theirs) or 'none'}, the bundle's clip has "
                                     f"{', '.join(mine) or 'none'}")
        largest = max([largest, *(float(np.abs(mine[k] - theirs[k]).max(initial=0)) for k in mine)])
    played = clip_measure(avatar, clip, METRES["full"])
    measures = [Measure("numbers", largest, "", 1e-6), Measure("frame rate", abs(clip.fps - own.fps), "fps", 1e-6)]
    return ValidationReport("sequence", tuple(measures + ([played] if played else [])))


def _validate_web(path: Path, avatar: Avatar, frames: int, tell: Progress) -> ValidationReport:
    manifest = Fields(read_json(path / "manifest.json"), str(path / "manifest.json"))
    clips = [Fields(clip, manifest.where).text("file") for clip in manifest.items("sequences", [])]
    named = [manifest.text("avatar"), manifest.text("camera"), *clips]
    for name in named:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise FormatError(f"{manifest.where}: names the file '{name}', outside the page; export the page again")
    report = _validate_glb(path / named[0], avatar, frames, tell)
    missing = [name for name in ("index.html", *named[1:]) if not (path / name).is_file()]
    measures = (*report.measures, Measure("files missing from the page", float(len(missing)), "", 0))
    return dataclasses.replace(report, kind=f"web, {report.kind}", measures=measures)
