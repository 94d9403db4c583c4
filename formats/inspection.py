"""What is in a file: a summary of anything we know, without loading more than it takes."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from formats import codecs, terms
from formats.avatar import Avatar, FaceBinding, MeshLayer, SplatLayer
from formats.codecs import torch_file
from formats.codecs.json_file import Fields, read_json
from formats.codecs.torch_file import TorchTensor
from formats.errors import FormatError, MissingAsset
from formats.head_model import HeadModel
from formats.importers import signatures
from formats.sequence import Sequence

MARKS = {"run.json": "training run", "textures.json": "textures", "capture.json": "tracked video, filmed by flameport"}
"""Folders that say themselves what they are: by which file, and what."""
ENTRIES = 2000
"""Entries of an unknown torch file that are listed."""


def inspect(path: Path) -> dict[str, Any]:
    """Return a JSON-ready summary of the file or folder at `path`; `kind` says what it is.

    Files of the systems that we import are named with what their import needs; see `formats.importers.signatures`.

    Raises:
        FormatError: It is damaged, or nothing we know.
        MissingAsset: There is no such file.
    """
    if not path.exists():
        raise MissingAsset(f"{path}: no such file")
    if path.is_dir() and (path / "manifest.json").is_file():
        return {"kind": "web page", "path": str(path),
                "files": {p.relative_to(path).as_posix(): p.stat().st_size for p in sorted(path.rglob("*")) if p.is_file()}}
    for name, kind in MARKS.items():
        if path.is_dir() and (path / name).is_file():
            found = Fields(read_json(path / name), str(path / name)).values
            return {"kind": kind, "bytes": _size(path)} | {k: v for k, v in found.items() if k not in ("format", "kind")}
    recognised = signatures.recognise(path)
    if recognised is not None:
        return {"kind": recognised["kind"], "bytes": _size(path)} | recognised
    name = codecs.sniff(path)
    describe = _DESCRIBE.get(name)
    if describe is None:
        raise FormatError(f"{path}: nothing flameport knows; `flameport inspect --help` lists what it reads")
    return {"kind": name, "bytes": _size(path)} | describe(path)


def _size(path: Path) -> int:
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size


def describe_head(head: HeadModel) -> dict[str, Any]:
    """Return what a person wants to know of a head."""
    return {"edition": head.edition, "content_hash": head.content_hash, "vertices": len(head.v_template),
            "faces": len(head.faces), "expressions": len(head.expr_names), "expr_names": list(head.expr_names),
            "identity_directions": 0 if head.shapedirs is None else head.shapedirs.shape[2],
            "correctives": 0 if head.posedirs is None else head.posedirs.shape[2],
            "joints": len(head.parents), "eyelids": head.eyeliddirs is not None, "uvs": head.uvs is not None,
            "arkit_map": head.arkit_map is not None, "regions": sorted(head.regions)}


def describe_sequence(sequence: Sequence) -> dict[str, Any]:
    """Return what a person wants to know of a motion."""
    moving = [name for name in ("rotation", "neck", "jaw", "eyes", "eyelids", "translation")
              if np.abs(getattr(sequence, name)).max() > 0]
    return {"basis": sequence.basis, "edition": sequence.edition, "frames": len(sequence), "fps": sequence.fps,
            "seconds": round(sequence.duration, 3), "expressions": sequence.expr.shape[1], "moving": moving,
            "joints": len(sequence.joints), "drivers": sorted(sequence.drivers), "cameras": bool(sequence.cameras),
            "ranges": {k: list(v) for k, v in sequence.ranges.items()}}


def describe_avatar(avatar: Avatar) -> dict[str, Any]:
    """Return what a person wants to know of an avatar."""
    layers = []
    for layer in avatar.layers:
        entry: dict[str, Any] = {"name": layer.name, "kind": type(layer).__name__}
        if isinstance(layer, SplatLayer):
            entry |= {"gaussians": len(layer.cloud), "sh_degree": layer.cloud.sh_degree,
                      "dynamics": f"network {layer.dynamics}" if isinstance(layer.dynamics, str)
                      else "none" if layer.dynamics is None else "linear"}
        elif isinstance(layer, MeshLayer):
            entry |= {"vertices": len(layer.vertices), "faces": len(layer.faces)}
        else:
            entry |= {"strands": len(layer.points), "points": layer.points.shape[1]}
        binding = layer.binding
        entry["binding"] = f"face ({binding.frame})" if isinstance(binding, FaceBinding) else f"skin ({binding.rotation})"
        layers.append(entry)
    clip = None if avatar.sequence is None else describe_sequence(avatar.sequence)
    return {"name": avatar.meta.name, "system": avatar.meta.system, "source": avatar.meta.source,
            "paper": avatar.meta.paper, "license_notices": list(avatar.meta.license_notices),
            "head": describe_head(avatar.head), "layers": layers, "networks": sorted(avatar.networks),
            "maps": sorted(avatar.maps.images) if avatar.maps else [], "clip": clip}


def _glb(path: Path) -> dict[str, Any]:
    from formats.codecs import glb, glb_avatar

    document = glb.read_document(path)
    json = document.json
    found: dict[str, Any] = {"generator": json.get("asset", {}).get("generator", ""),
                             "extensions": json.get("extensionsUsed", []), "meshes": len(json.get("meshes", [])),
                             "animations": len(json.get("animations", [])), "accessors": len(json.get("accessors", []))}
    if "FLAMEPORT_avatar" in json.get("extensions", {}):
        found |= describe_avatar(glb_avatar.read(path))
    return found


def _ply(path: Path) -> dict[str, Any]:
    from formats.codecs import inria_ply

    fields = inria_ply.read_fields(path)
    return {"gaussians": len(next(iter(fields.values()))), "properties": list(fields)}


def _spz(path: Path) -> dict[str, Any]:
    from formats.codecs import spz
    from formats.files import read_bytes

    header = spz.header_of(read_bytes(path), str(path))
    return {"version": header.version, "gaussians": header.count, "sh_degree": header.sh_degree,
            "position_step": header.step, "antialiased": header.antialiased}


def _npz(path: Path) -> dict[str, Any]:
    from formats.codecs import npz_file

    return {"arrays": {name: f"{array.dtype} {list(array.shape)}" for name, array in npz_file.read(path).items()}}


def _flame(path: Path) -> dict[str, Any]:
    from formats.codecs import flame_pickle

    known = flame_pickle.known_edition(path)
    found = describe_head(flame_pickle.read(path, known or "flame2020"))
    return found if known else found | {"edition": "the file does not say; name it with --edition", "content_hash": ""}


def _head_file(path: Path) -> dict[str, Any]:
    from formats.codecs import head_file

    head = head_file.read(path)
    return describe_head(head) | {"license_notices": list(terms.with_tables((), head.edition))}


def _camera(path: Path) -> dict[str, Any]:
    from formats.codecs import camera_json

    camera = camera_json.read(path)
    return {"size": [camera.width, camera.height], "K": camera.K.tolist(), "position": camera.position.tolist()}


def _torch(path: Path) -> dict[str, Any]:
    """A torch file that is none of the systems' we import: what is in it, nothing of it loaded."""
    with torch_file.open(path) as file:
        entries = dict(islice(_entries(file.root, "", 0), ENTRIES + 1))
        more = {} if len(entries) <= ENTRIES else {"more": f"only the first {ENTRIES} entries are shown"}
        return {"container": file.container, "entries": dict(islice(entries.items(), ENTRIES))} | more


def _entries(value: Any, name: str, depth: int) -> Iterator[tuple[str, str]]:
    """Yield what a tree holds, by its path in it; lists of plain numbers and deep trees in one line."""
    if isinstance(value, TorchTensor | np.ndarray):
        yield name or "tensor", f"{value.dtype} {list(value.shape)}"
    elif isinstance(value, dict | list | tuple) and value and depth < 8:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inside in items:
            yield from _entries(inside, f"{name}.{key}" if name else str(key), depth + 1)
    else:
        text = repr(value) if isinstance(value, str | int | float | bytes | None) else f"a {type(value).__name__}"
        yield name or "value", text if len(text) <= 80 else f"{text[:77]}..."


def _sequence(path: Path) -> dict[str, Any]:
    return describe_sequence(codecs.read_sequence(path))


def _bundle(path: Path) -> dict[str, Any]:
    return describe_avatar(codecs.read_avatar(path))


_DESCRIBE: dict[str, Callable[[Path], dict[str, Any]]] = {
    "bundle": _bundle, "unity_avatar": _bundle, "glb": _glb, "inria_ply": _ply, "spz": _spz, "npz": _npz,
    "flame_npz": _npz, "flame_pickle": _flame,
    "head_file": _head_file, "camera_json": _camera, "sequence_json": _sequence, "sequence_binary": _sequence,
    "arkit_json": _sequence, "flame_params": _sequence, "torch_file": _torch,
}
