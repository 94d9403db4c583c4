"""flameport: take a trained head avatar the rest of the way.

The command line and the public Python face in one module. It parses, calls the rooms, and imports each only when it is
used, so that `flameport inspect` never loads a GPU library.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import logging
import os
import sys
import time
from collections.abc import Sequence as Words
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tyro.conf import OmitArgPrefixes, Positional, UseAppendAction

from formats.errors import AvatarError, FormatError, UnsupportedFeature, naming

if TYPE_CHECKING:
    from exporter.export import ExportReport
    from formats.avatar import Avatar
    from formats.camera import Camera
    from formats.deform import Posed
    from formats.head_model import HeadModel
    from formats.render import Picture
    from formats.sequence import Sequence

__version__ = "0.1.0"
__all__ = ["__version__", "AvatarError", "export", "import_avatar", "load", "load_sequence", "pose", "render", "save"]

PLANNED = ("edit",)
"""Commands whose names are reserved; they say so instead of pretending."""

log = logging.getLogger("flameport")


# --- The Python face --------------------------------------------------------------------------------------------------


def load(path: str | os.PathLike[str]) -> Avatar:
    """Return the avatar in a bundle (`X.avatar`, folder or zip) or in a GLB that flameport wrote."""
    from formats import codecs

    return codecs.read_avatar(Path(path))


def save(avatar: Avatar, path: str | os.PathLike[str]) -> None:
    """Write `avatar` as a bundle, replacing one that is there."""
    from formats.codecs import bundle

    bundle.write(avatar, Path(path))


def load_sequence(path: str | os.PathLike[str]) -> Sequence:
    """Return the motion in any file we read: sequence JSON or its binary twin, ARKit tracks, FLAME parameter files."""
    from formats import codecs

    return codecs.read_sequence(Path(path))


def import_avatar(system: str, path: str | os.PathLike[str], **options: Any) -> Avatar:
    """Return the avatar in another system's own files; `system` is one of the command line's SYSTEM names."""
    from formats import importers

    return importers.read(system, Path(path), **options)


def pose(avatar: Avatar, sequence: Sequence, t: float = 0) -> Posed:
    """Return the avatar posed at the fractional frame `t`: the reference every other player is tested against."""
    from formats.deform import deform

    return deform(avatar, sequence, t)


def render(avatar: Avatar, sequence: Sequence, t: float = 0, camera: Camera | None = None) -> Picture:
    """Return the reference picture of the avatar at the fractional frame `t`."""
    from formats.render import default_camera, render_avatar

    return render_avatar(avatar, sequence, t, camera or default_camera(avatar))


def export(avatar: Avatar, target: str, out: str | os.PathLike[str], *, sequence: Sequence | None = None,
           allow_loss: bool = False, **options: Any) -> ExportReport:
    """Write `avatar` for `target` and return what was written and what was lost; `options` are the target's own."""
    from exporter import export as exports

    return exports.export(avatar, target, Path(out), exports.options_type(target)(**options), sequence, allow_loss)


# --- Commands: fields are flags, their docstrings are the help ---------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Demo:
    """The whole path on our own data, some minutes on two cores: film the stand-in, train FateAvatar on the film, measure it
    on held-out pictures, bake it to UV maps, export it, check the export, and open its page.

    Run again, it goes on where it was stopped; remove the folder to start anew.
    """

    out: Path = Path("demo")
    """Folder for everything the demo makes."""
    open: bool = True
    """Serve the page and open it in a browser when done (needs a terminal); --no-open prints how to instead."""

    SIZE, FRAMES, LAYOUT = 256, 144, "insta"

    def run(self) -> None:
        """Film, train, measure, bake, export, show."""
        import trainers
        from exporter.demo import finish
        from formats import datasets
        from formats.standin.clip import standin_clip

        trainers.require_torch()
        data, run, avatar = self.out / "standin0", self.out / "run", self.out / "avatar.avatar"
        if not (data / "capture.json").is_file():
            Capture(data, self.LAYOUT, self.FRAMES, self.SIZE).run()
        started = (run / "run.json").is_file()
        if not started or not (run / "avatar.avatar").is_dir():
            Train("fate", run, None if started else data, None if started else self.LAYOUT,
                  preset=None if started else "demo", resume=started).run()
        if not (run / "eval" / "test.json").is_file():
            Evaluate(run).run()
        if not (avatar / "avatar.json").is_file():
            Bake(run, avatar, resume=(run / "bake" / "run.json").is_file()).run()
        baked = load(avatar)
        finish(baked, standin_clip(baked.head), datasets.read(self.LAYOUT, data, "test"), self.out, _progress)
        _wrote(self.out, f"flameport view {self.out / 'web'}")
        if self.open and sys.stdout.isatty():
            _serve(self.out / "web", 0, True)


@dataclasses.dataclass(frozen=True)
class StandIn:
    """Write the painted stand-in avatar: a procedural person, free to use, no training and no data needed."""

    out: Path
    """Bundle to write, X.avatar."""

    def run(self) -> None:
        """Paint and save."""
        from formats.standin.avatar import standin_avatar

        _progress("painting the stand-in")
        save(standin_avatar(), self.out)
        _wrote(self.out, f"flameport export {self.out} web --out page")


@dataclasses.dataclass(frozen=True)
class Head:
    """Convert a FLAME model (any edition), or write the stand-in head, as one safe file without pickles."""

    source: Positional[str]
    """FLAME .pkl, or the word `standin`."""
    out: Path
    """File to write, HEAD.safetensors."""
    edition: Literal["flame2019", "flame2020", "flame2023", "flame2023-no-jaw", "flame2023-open"] | None = None
    """Which FLAME the pickle is; needed unless the file says so itself."""
    masks: Path | None = None
    """FLAME_masks.pkl, for named regions."""
    landmarks: Path | None = None
    """landmark_embedding.npy, for landmarks."""
    template: Path | None = None
    """Template OBJ, for texture coordinates."""
    eyelids: tuple[Path, Path] | None = None
    """l_eyelid.npy and r_eyelid.npy."""
    eyelid_space: Literal["rest", "posed"] = "posed"
    """Where lids are added: after skinning as metrical-tracker does (posed), or before it."""
    arkit_map: str | None = None
    """What ARKit's weights mean for this head, kept in it: MAP.json, or `fit` to fit them to its landmarks and masks."""
    arkit_map_out: Path | None = None
    """Also write that map as MAP.json, to look at and correct."""
    variant: Literal["closed", "open-mouth"] = "closed"
    """For `standin`: with a mouth cavity, or with FLAME's own open lip ring."""
    teeth: bool = True
    """For `standin`: with teeth and their 120 vertices, or FLAME's 5023 vertices alone."""

    def run(self) -> None:
        """Read, complete, write."""
        from formats import terms
        from formats.codecs import arkit_map, flame_pickle, head_file

        if self.source == "standin":
            from formats.standin.head import standin_head

            head = standin_head(self.variant, self.teeth)
        else:
            head = flame_pickle.read(Path(self.source), self.edition)
            if self.masks is not None:
                with naming(self.masks):
                    head = dataclasses.replace(head, regions=flame_pickle.read_masks(self.masks))
            if self.landmarks is not None:
                with naming(self.landmarks):
                    head = dataclasses.replace(head, landmarks=flame_pickle.read_landmarks(self.landmarks))
            if self.template is not None:
                with naming(self.template):
                    uvs, uv_faces = flame_pickle.read_template_obj(self.template, head.faces)
                    head = dataclasses.replace(head, uvs=uvs, uv_faces=uv_faces)
            if self.eyelids is not None:
                lids = flame_pickle.read_eyelids(*self.eyelids)
                with naming(self.eyelids[0]):
                    head = dataclasses.replace(head, eyeliddirs=lids, eyelid_space=self.eyelid_space)
            log.warning("%s", terms.in_one_line(terms.with_tables((), head.edition)))
        if self.arkit_map is not None:
            head = dataclasses.replace(head, arkit_map=self._fitted(head))
        if self.arkit_map_out is not None:
            if head.arkit_map is None:
                raise FormatError("--arkit-map-out: this head has no map; add --arkit-map fit")
            arkit_map.write(head.arkit_map, head, self.arkit_map_out)
        head_file.write(head, self.out)
        _wrote(self.out, f"flameport inspect {self.out}")

    def _fitted(self, head: HeadModel) -> Any:
        from formats.arkit_fit import fit_arkit_map
        from formats.codecs import arkit_map

        if self.arkit_map != "fit":
            return arkit_map.read(Path(str(self.arkit_map)), head)
        fit = fit_arkit_map(head)
        log.info("ARKit map %s", fit.summary())
        return fit.table


@dataclasses.dataclass(frozen=True)
class Capture:
    """Film the stand-in with a virtual camera and write a tracked video, as real trackers lay theirs out."""

    out: Path
    """Folder to write: what `train --data` takes."""
    layout: Literal["imavatar", "point-avatar", "insta", "metrical-tracker", "vhap", "nersemble", "nersemble-benchmark",
                    "gaussian-head-avatar"] = "insta"
    """How the folder is laid out."""
    frames: int = 144
    """Of the take; its last part (15 %, vhap 30 %) is held out, and so are two camera angles. vhap, nersemble and
    gaussian-head-avatar have a rig of cameras: so many moments, each seen by every camera."""
    size: int = 512
    """Pixels of the square pictures."""
    seed: int = 0
    """Who is filmed: 0, 1 and 2 are three different people, and so is any other number."""

    def run(self) -> None:
        """Film and write."""
        from formats.captures import capture

        capture(self.out, self.layout, self.frames, self.size, self.seed, _progress)
        _wrote(self.out, f"flameport train fate --data {self.out} --dataset {self.layout} --out run")


@dataclasses.dataclass(frozen=True)
class Train:
    """Train an avatar from a tracked video."""

    system: Positional[str]
    """Which system: fate, gaussian-avatars, flash-avatar, splatting-avatar or mono-gaussian-avatar."""
    out: Path
    """Run folder to write: settings, log, checkpoints, preview pictures, and at the end avatar.avatar."""
    data: Path | None = None
    """The subject's folder; known already with --resume."""
    dataset: str | None = None
    """How that folder is laid out: imavatar, point-avatar, insta, metrical-tracker, vhap, nersemble, nersemble-benchmark or
    gaussian-head-avatar; known already with --resume."""
    preset: str | None = None
    """Named settings of the system: paper (the default), or demo for a quick one on the CPU; flash-avatar also has
    wasserstein."""
    head: str | None = None
    """HEAD.safetensors from `flameport head`, or the word `standin`; head.safetensors in the data folder when absent."""
    edition: Literal["flame2019", "flame2020", "flame2023", "flame2023-no-jaw", "flame2023-open", "standin"] | None = None
    """FLAME edition the video was tracked with, where it is not the layout's usual one."""
    steps: int | None = None
    """How long to train; the preset's when absent."""
    device: Literal["cuda", "cpu"] | None = None
    """CUDA where there is one when absent."""
    resume: bool = False
    """Go on from the newest checkpoint in --out."""
    fit_schedule: bool = False
    """Let the preset's whole schedule (growth, rates, resets) fit into --steps, instead of cutting it off there."""
    set: UseAppendAction[tuple[str, ...]] = ()
    """Any one setting as NAME=VALUE; may be repeated. A wrong name lists them all."""
    view: bool = False
    """Open a page that shows the avatar while it trains: turn it, move its face, compare it with the frame just shown."""
    host: str = "127.0.0.1"
    """With --view: address to serve on; 0.0.0.0 lets other machines look."""
    port: int = 8765
    """With --view: where."""

    def run(self) -> None:
        """Check, train, save."""
        import trainers

        trainers.require_torch()
        from trainers.live_view import LiveView
        from trainers.loop import train

        overrides = dict(_pair("--set", entry) for entry in self.set)
        summary = train(self.system, self.data, self.dataset, self.out, preset=self.preset, head=self.head,
                        steps=self.steps, device=self.device, resume=self.resume, edition=self.edition,
                        fit_schedule=self.fit_schedule, overrides=overrides, progress=_progress,
                        view=functools.partial(LiveView, host=self.host, port=self.port) if self.view else None)
        _table(f"{self.system}: {self.out.name}", summary.rows(), to=sys.stderr)
        _wrote(self.out, f"flameport eval {self.out}")


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Measure a trained run on pictures it has not seen: PSNR, SSIM, LPIPS; a table, a CSV and a contact sheet."""

    path: Positional[Path]
    """The run folder, RUN."""
    split: Literal["train", "test"] = "test"
    """Which pictures."""
    refit: int = 0
    """Also measure after fitting each held-out frame's FLAME parameters for this many steps, as several papers do (50); the
    numbers say which is which."""
    baseline: bool = True
    """Also measure the textured mesh alone."""
    lpips: tuple[Path, Path] | None = None
    """Weights for LPIPS: a VGG16 or AlexNet backbone, then the published linear layers."""
    data: Path | None = None
    """The subject's folder, if it has moved since."""
    device: Literal["cuda", "cpu"] | None = None
    """CUDA where there is one when absent."""
    json: bool = False
    """One JSON object on stdout and nothing else."""

    def run(self) -> None:
        """Draw, compare, tell."""
        import trainers

        trainers.require_torch()
        from trainers.evaluate import evaluate

        found = evaluate(self.path, self.split, refit=self.refit, baseline=self.baseline, lpips=self.lpips, data=self.data,
                         device=self.device, progress=_progress)
        if self.json:
            _print_json(found.as_dict())
        else:
            _table(f"{self.path.name} on its {self.split} pictures", found.rows())
            bakes = hasattr(trainers.trainer(found.system), "bake")
            _wrote(self.path / "eval" / f"{self.split}.png", f"flameport bake {self.path} --out {self.path.name}.avatar" if bakes
                   else f"flameport export {self.path / 'avatar.avatar'} web --out page")


@dataclasses.dataclass(frozen=True)
class Bake:
    """Bake a trained run to continuous UV attribute maps, and the avatar they make; or, with --linearise, an avatar's
    networks to tables that every player plays."""

    path: Positional[Path]
    """The run folder, RUN; with --linearise also a bundle or GLB."""
    out: Path
    """Bundle to write, X.avatar."""
    preset: str | None = None
    """Named settings: the run's own preset when absent."""
    steps: int | None = None
    """How long to train the baking network; the preset's when absent."""
    data: Path | None = None
    """The subject's folder, if it has moved since."""
    device: Literal["cuda", "cpu"] | None = None
    """CUDA where there is one when absent."""
    resume: bool = False
    """Go on from where an interrupted bake stopped."""
    set: UseAppendAction[tuple[str, ...]] = ()
    """Any one setting as NAME=VALUE; may be repeated."""
    linearise: bool = False
    """Turn the networks that move Gaussians into linear dynamics: tables of bytes and a small function of what drives them."""
    sequence: Path | None = None
    """With --linearise: the clip to learn from; the avatar's own when absent."""
    against: Path | None = None
    """With --linearise: another clip to measure on; the last fifth of the first, which then takes no part, when absent."""
    decibels: float = 40.0
    """With --linearise: how near pictures must be to the network's, PSNR."""
    rank: int | None = None
    """With --linearise: how many coefficients; the smallest of 8 to 64 that is near enough when absent."""
    bits: Literal[8, 32] = 8
    """With --linearise: of each number in the tables."""

    def run(self) -> None:
        """Bake and save."""
        if self.linearise:
            self._linearise()
            return
        for flag, given in (("--sequence", self.sequence is not None), ("--against", self.against is not None),
                            ("--rank", self.rank is not None)):
            if given:
                raise FormatError(f"{flag} goes with --linearise")
        import trainers

        overrides = dict(_pair("--set", entry) for entry in self.set)
        summary = trainers.bake(self.path, self.out, preset=self.preset, steps=self.steps, data=self.data,
                                device=self.device, resume=self.resume, overrides=overrides, progress=_progress)
        _table(f"baked {self.path.name}", summary.rows(), to=sys.stderr)
        _wrote(self.out, f"flameport export {self.out} textures --out maps")

    def _linearise(self) -> None:
        from exporter.ops.linearise import Options, linearise

        run = self.path / "avatar.avatar"
        avatar = load(run if run.is_dir() else self.path)
        clip, other = (None if path is None else _sequence(avatar, path) for path in (self.sequence, self.against))
        with naming(self.path):
            made = linearise(avatar, clip, other, Options(decibels=self.decibels, rank=self.rank, bits=self.bits), _progress)
        _table(f"linearised {self.path.name}", made.rows(), to=sys.stderr)
        save(made.avatar, self.out)
        _wrote(self.out, f"flameport export {self.out} web --out page")


@dataclasses.dataclass(frozen=True)
class Import:
    """Turn another system's files into a bundle."""

    system: Positional[str]
    """Who wrote the file: fate, gaussian-avatars, flash-avatar, splatting-avatar, mono-gaussian-avatar, gaussian-head-avatar,
    osgap, baked-avatar, lam."""
    path: Positional[Path]
    """The file or folder; `flameport inspect` says what it is and what else its import needs."""
    out: Path
    """Bundle to write, X.avatar."""
    head: Path | None = None
    """HEAD.safetensors from `flameport head`, for systems that ride FLAME."""
    side: UseAppendAction[tuple[str, ...]] = ()
    """A further input as NAME=PATH; may be repeated."""
    as_original: bool = False
    """Reproduce the original player where ours improves on it (lam: splats keep their rest orientation, and the bust moves
    with the head)."""
    set: UseAppendAction[tuple[str, ...]] = ()
    """Any option of the system's reader as NAME=VALUE; may be repeated. A wrong name lists them."""

    def run(self) -> None:
        """Read and save."""
        from formats import importers, terms
        from formats.codecs import head_file

        sides = {name: Path(path) for name, path in (_pair("--side", entry) for entry in self.side)}
        options = importers.options(self.system, dict(_pair("--set", entry) for entry in self.set))
        if self.as_original:
            options["as_original"] = True
        head = None if self.head is None else head_file.read(self.head)
        _progress(f"reading {self.path.name} as {self.system}")
        if self.system == "osgap" and "image" in sides:
            import trainers

            trainers.require_torch()
            from trainers.osgap import import_with_image

            avatar = import_with_image(self.path, head, sides, **options)
        else:
            avatar = importers.read(self.system, self.path, head=head, sides=sides, **options)
        log.warning("%s", terms.in_one_line(avatar.meta.license_notices))
        save(avatar, self.out)
        _wrote(self.out, f"flameport export {self.out} web --out page")


@dataclasses.dataclass(frozen=True)
class MakeSequence:
    """Convert motion to sequence JSON, or to its binary twin when --out ends in .fpsq."""

    sources: Positional[tuple[Path, ...]]
    """Motion in any file or folder we know: sequence, ARKit JSON or CSV, VHAP .npz, flame_params.json, a tracker's or data set's
    folder, BakedAvatar's sequence_data; several are joined and named."""
    out: Path
    """SEQ.json or SEQ.fpsq; a folder with --layout baked-avatar."""
    for_: Annotated[Path | None, tyro.conf.arg(name="for")] = None
    """Avatar bundle or GLB to fit the motion to: maps ARKit names, checks editions."""
    neutral: Literal["none", "mean", "first"] = "none"
    """Another person's performance (cross-reenactment): take this expression as the actor's neutral face and put the avatar's
    own in its place."""
    arkit_map: Path | None = None
    """MAP.json that says what ARKit's weights mean for the avatar's head; its own map, else one fitted to its landmarks, when
    absent."""
    layout: Literal["flameport", "baked-avatar"] = "flameport"
    """`baked-avatar` writes the `sequence_data` folder of BakedAvatar's web demo."""
    head_motion: Literal["head", "camera"] = "head"
    """Where relative head motion goes when the file moves the camera instead: to the head, or left in the camera."""
    fps: float | None = None
    """Frame rate, where the file does not say."""
    edition: Literal["flame2019", "flame2020", "flame2023", "flame2023-no-jaw", "flame2023-open"] | None = None
    """FLAME edition of the coefficients, where the file does not say."""

    def run(self) -> None:
        """Read, join, fit, write."""
        from exporter.targets.sequence import write_sequence
        from formats import codecs, retarget
        from formats.codecs import arkit_map, baked_sequence

        if not self.sources:
            _error("sequence: name at least one file to read; `flameport sequence --help` lists what it reads")
            raise SystemExit(2)
        for flag, given in (("--neutral", self.neutral != "none"), ("--arkit-map", self.arkit_map is not None)):
            if self.for_ is None and given:
                raise FormatError(f"{flag} needs --for X.avatar, which the motion is fitted to")
        parts = [codecs.read_sequence(source, edition=self.edition, fps=self.fps) for source in self.sources]
        if self.for_ is not None:
            avatar = load(self.for_)
            head, own = avatar.head, retarget.neutral_of(avatar)
            arkit = None if self.arkit_map is None else arkit_map.read(self.arkit_map, head)
            for i, source in enumerate(self.sources):
                with naming(source):
                    fitted = retarget.retarget(parts[i], head, self.neutral, arkit, own)
                    parts[i] = retarget.with_head_motion(fitted, head, self.head_motion)
        sequence = retarget.join(parts, [source.stem for source in self.sources])
        if self.layout == "baked-avatar":
            baked_sequence.write(sequence, self.out)
        else:
            write_sequence(sequence, self.out)
        _wrote(self.out, f"flameport render {self.for_ or 'X.avatar'} --sequence {self.out} --out film.mp4")


@dataclasses.dataclass(frozen=True)
class Pose:
    """Write the avatar posed at given frames as numbers: vertices, means, quats, scales, opacities, colours."""

    avatar: Positional[Path]
    """Bundle or GLB."""
    out: Path
    """POSED.npz; arrays are stacked over frames."""
    sequence: Path | None = None
    """Motion; the avatar's own clip when absent."""
    frames: str | None = None
    """Comma-separated, fractions allowed: 0,5,9.5. Every frame when absent."""

    def run(self) -> None:
        """Pose and write."""
        from formats.codecs import npz_file, posed_npz

        avatar = load(self.avatar)
        sequence = _sequence(avatar, self.sequence)
        frames = _frames(self.frames, len(sequence))
        with naming(self.avatar):
            arrays = posed_npz.posed_arrays(avatar, sequence, frames, _progress)
        npz_file.write(arrays, self.out)
        _wrote(self.out, f"flameport inspect {self.out}")


@dataclasses.dataclass(frozen=True)
class Render:
    """Draw reference pictures, a folder of PNGs or one mp4."""

    avatar: Positional[Path]
    """Bundle or GLB."""
    out: Path
    """Folder, or a file that ends in .mp4 or .png (one frame)."""
    sequence: Path | None = None
    """Motion; the avatar's own clip, else one neutral frame, when absent."""
    camera: Path | None = None
    """CAM.json; a frontal portrait when absent."""
    frames: str | None = None
    """Comma-separated, fractions allowed; every frame when absent."""
    size: tuple[int, int] = (512, 512)
    """Width and height, pixels; used without --camera."""
    background: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Display sRGB, 0..1."""

    def run(self) -> None:
        """Draw and write."""
        from formats import video
        from formats.codecs import camera_json
        from formats.render import RenderOptions, default_camera, render_avatar

        avatar = load(self.avatar)
        sequence = _sequence(avatar, self.sequence)
        camera = default_camera(avatar, *self.size) if self.camera is None else camera_json.read(self.camera)
        options = RenderOptions(background=self.background)
        frames = _frames(self.frames, len(sequence))
        if self.out.suffix == ".png":
            frames = frames[:1]

        def pictures() -> Any:
            for i, t in enumerate(frames):
                _progress(f"frame {i + 1} of {len(frames)}")
                with naming(self.avatar):
                    picture = render_avatar(avatar, sequence, t, camera, options)
                yield picture.to_uint8()

        video.write(pictures(), self.out, sequence.fps)
        _wrote(self.out, f"flameport export {self.avatar} web --out page")


@dataclasses.dataclass(frozen=True)
class Inspect:
    """Say what is in any file we know: bundle, GLB, PLY, npz, FLAME pickle, head, sequence, camera; or a run's, a capture's or
    exported maps' folder."""

    path: Positional[Path]
    """The file or folder."""
    json: bool = False
    """One JSON object on stdout and nothing else."""

    def run(self) -> None:
        """Look and tell."""
        from formats.inspection import inspect

        found = inspect(self.path)
        if self.json:
            _print_json(found)
        else:
            rows = [(k, _short(v)) for k, v in found.items() if k not in ("kind", "import")]
            _table(f"{self.path.name}: {found['kind']}", rows)
            if "import" in found:
                _say(f"next:  {found['import']}")  # in one line, to be copied


@dataclasses.dataclass(frozen=True)
class Validate:
    """Read an export back, pose it, draw it, and compare with the bundle; exit 1 past the grade's tolerance."""

    path: Positional[Path]
    """GLB, PLY, sequence or web folder."""
    against: Path
    """The bundle it was made from."""
    frames: int = 10
    """How many frames to compare, spread over the clip."""
    json: bool = False
    """One JSON object on stdout and nothing else."""

    def run(self) -> None:
        """Compare and tell."""
        from exporter.validate import validate

        avatar = load(self.against)
        with naming(self.path):
            report = validate(self.path, avatar, self.frames, _progress)
        if self.json:
            _print_json(report.as_dict())
        else:
            _table(f"{self.path.name} against {self.against.name}", report.rows())
        if not report.ok:
            raise FormatError(f"{self.path}: past the tolerance: {report.failure}")


@dataclasses.dataclass(frozen=True)
class View:
    """Serve the viewer on this machine and open it."""

    path: Positional[Path]
    """Bundle, GLB, or a folder that `export web` wrote."""
    sequence: Path | None = None
    """Motion to play; any file `flameport sequence` reads, fitted to the avatar."""
    compare: Path | None = None
    """Folder of reference pictures, as `flameport render` writes them: the page says in decibels how far it is from them."""
    host: str = "127.0.0.1"
    """Address to listen at; 0.0.0.0 lets other machines of the network look, a phone for one."""
    port: int = 0
    """TCP port; 0 takes a free one."""
    open: bool = True
    """Open the system's browser."""

    def run(self) -> None:
        """Export to a temporary folder where needed, then serve."""
        import tempfile

        if self.path.is_dir() and (self.path / "index.html").is_file():
            for name in ("sequence", "compare"):
                if getattr(self, name) is not None:
                    raise FormatError(f"--{name}: this folder is an exported page; drop the files onto it, or view the bundle")
            _serve(self.path, self.port, self.open, self.host)
            return
        with tempfile.TemporaryDirectory() as folder:
            avatar = load(self.path)
            sequence = None if self.sequence is None else _sequence(avatar, self.sequence)
            _progress("making the page")
            export(avatar, "web", Path(folder) / "web", sequence=sequence, allow_loss=True, compare=self.compare,
                   poster=False)
            _serve(Path(folder) / "web", self.port, self.open, self.host)


@dataclasses.dataclass(frozen=True)
class _Export:
    """Write an avatar for one target; each has options of its own: `flameport export X.avatar TARGET --help`."""

    avatar: Positional[Path]
    """Bundle or GLB."""
    target: Positional[str]
    """baked-avatar-web, glb, lam, onnx, ply, sequence, spz, textures, unity or web."""
    out: Path
    """File or folder to write."""
    sequence: Path | None = None
    """Motion to put in; the avatar's own clip when absent."""
    allow_loss: bool = False
    """Write even when the target cannot carry everything; what is lost is listed."""
    report: Path | None = None
    """Also write what was written and lost as REPORT.json, and as a table beside it."""

    options: Any = dataclasses.field(init=False, default=None)

    def run(self) -> None:
        """Export and tell."""
        from exporter import loss_report
        from exporter.export import export as write
        from formats import terms

        avatar = load(self.avatar)
        sequence = None if self.sequence is None else _sequence(avatar, self.sequence)
        _progress(f"writing {self.target}")
        started = time.perf_counter()
        report = write(avatar, self.target, self.out, self.options, sequence, self.allow_loss)
        if self.report is not None:
            loss_report.write(report, self.report, self.target, self.out, avatar.meta)
        for title, blocking in (("lost", True), ("not carried, or changed a little", False)):
            rows = [(loss.what, loss.amount) for loss in report.losses if loss.blocking is blocking]
            if rows:
                _table(title, rows, to=sys.stderr)
        log.info("%.1f s", time.perf_counter() - started)
        _say(terms.in_one_line(avatar.meta.license_notices))
        following = {"web": f"flameport view {self.out}"}.get(
            self.target, f"flameport validate {self.out} --against {self.avatar}")
        _wrote(self.out, following)


COMMANDS: dict[str, type] = {
    "demo": Demo, "standin": StandIn, "capture": Capture, "head": Head, "train": Train, "eval": Evaluate, "bake": Bake,
    "import": Import, "sequence": MakeSequence, "pose": Pose,
    "render": Render, "export": _Export, "inspect": Inspect, "validate": Validate, "view": View,
}


def main(argv: Words[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 a clear error about the input, 2 wrong usage."""
    words = list(sys.argv[1:] if argv is None else argv)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for ours in (log.name, "formats"):
        logging.getLogger(ours).setLevel(logging.INFO)
    try:
        if words and words[0] in PLANNED:
            raise UnsupportedFeature(f"`flameport {words[0]}` is planned and not in version {__version__}; the README's "
                                     "table says what works today")
        commands = dict(COMMANDS)
        if words[:1] == ["export"]:
            commands["export"] = _export_with_options(words[1:])
        command = tyro.extras.subcommand_cli_from_dict(
            commands, prog="flameport", description=(__doc__ or "").splitlines()[0], args=words)
        command.run()
    except AvatarError as error:
        _error(str(error))
        return 1
    except KeyboardInterrupt:
        _error("stopped")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        # Readers and writers say what the system refused; this is for names it cannot even look up.
        _error(f"{error.filename or 'a file'}: {error.strerror or error}")
        return 1
    except MemoryError:
        _error("not enough memory for this input; close other programs, or give it fewer frames or a smaller picture")
        return 1
    return 0


def _export_with_options(words: list[str]) -> type:
    """Return the export command with the flags of the target that `words` name, if they name one."""
    from exporter.export import TARGETS, options_type

    target = next((w for w in words if w in TARGETS), None)
    if target is None:
        return _Export
    options = options_type(target)
    made = dataclasses.make_dataclass(
        f"Export{target.title()}", [("options", OmitArgPrefixes[options], dataclasses.field(default_factory=options))],
        bases=(_Export,), frozen=True)
    made.__doc__ = importlib.import_module(TARGETS[target]).__doc__
    return made


def _sequence(avatar: Avatar, path: Path | None) -> Sequence:
    """Return the motion in `path` fitted to the avatar, or the avatar's own, or one neutral frame."""
    from formats import retarget
    from formats.deform import rest_sequence

    if path is None:
        return avatar.sequence if avatar.sequence is not None else rest_sequence(avatar.head)
    with naming(path):
        sequence = retarget.retarget(load_sequence(path), avatar.head)
    if any(getattr(getattr(layer, "dynamics", None), "function", None) for layer in avatar.layers):
        from exporter.ops.linearise import beyond

        for said in beyond(avatar, sequence):
            log.warning("%s: leaves what linear dynamics were fitted to, and is held at its end: %s", path, said)
    return sequence


def _frames(text: str | None, count: int) -> list[float]:
    if text is None:
        return [float(i) for i in range(count)]
    try:
        frames = [float(word) for word in text.split(",")]
    except ValueError as error:
        raise FormatError(f"--frames {text}: expected numbers separated by commas, such as 0,5,9") from error
    if not all(0 <= t <= count - 1 for t in frames):
        raise FormatError(f"--frames {text}: the sequence has frames 0..{count - 1}")
    return frames


def _pair(flag: str, entry: str) -> tuple[str, str]:
    name, equals, value = entry.partition("=")
    if not equals or not name or not value:
        raise FormatError(f"{flag} {entry}: expected NAME={'PATH' if flag == '--side' else 'VALUE'}")
    return name, value


def _serve(folder: Path, port: int, open_browser: bool, host: str = "127.0.0.1") -> None:
    from exporter.serve import serve

    serve(folder, port, open_browser, _say, host)


# --- Talking to the terminal ------------------------------------------------------------------------------------------


def _console(stderr: bool = True) -> Any:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        _console().print(_shown(text), style="dim", markup=False)
    else:
        log.info("%s", text)


def _say(text: str) -> None:
    _console(stderr=False).print("\n".join(_shown(line) for line in text.split("\n")), markup=False)


def _error(text: str) -> None:
    _console().print("error: " + _shown(text), style="red", markup=False)


def _shown(text: str) -> str:
    """Return text on one line, with control characters spelled out: names in files may try to steer the terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(text.splitlines()))


class _OneLine(logging.Formatter):
    """What library code logs, safe for the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return _shown(super().format(record))


def _wrote(path: Path, following: str) -> None:
    size = sum(f.stat().st_size for f in path.rglob("*") if f.is_file()) if path.is_dir() else path.stat().st_size
    _say(f"wrote {path} ({size / 1e6:.2f} MB)\nnext:  {following}")


def _print_json(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_short(v)}" for k, v in value.items())
    if isinstance(value, (list, tuple)):
        shown = [_short(v) for v in value[:8]]
        return ", ".join(shown) + (f", ... ({len(value)} in all)" if len(value) > 8 else "")
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _table(title: str, rows: Words[tuple[Any, ...]], to: Any = None) -> None:
    from rich.table import Table
    from rich.text import Text

    # Plain text: brackets in names are no markup.
    table = Table(title=Text(_shown(title), style="table.title"), show_header=False, title_justify="left")
    for row in rows:
        table.add_row(*(Text(_shown(str(cell))) for cell in row))
    _console(stderr=to is sys.stderr).print(table)


if __name__ == "__main__":
    sys.exit(main())
