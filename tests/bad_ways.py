"""What can be wrong inside each format: tables of changes by what they do, used by `tests.bad_files`."""

import pickle
import struct
from typing import Any

import numpy as np

from tests.breaking import (
    HUGE,
    Runs,
    bomb,
    drop,
    in_arrays,
    in_glb,
    in_json,
    in_tables,
    in_tensors,
    in_zip,
    nan,
    npy,
    npy_claiming,
    put,
    with_member,
)


def _zeros(document: dict[str, Any]) -> None:
    """Let a few bytes stand for a head of 5 million vertices with all its targets."""
    count = 5_000_000
    for accessor in document["accessors"]:
        if accessor["type"] == "VEC3" and accessor["componentType"] == 5126:
            accessor["count"] = count
            accessor.pop("bufferView", None)
            accessor.pop("sparse", None)
    head = document["extensions"]["FLAMEPORT_avatar"]["head"]
    head["vertexCount"] = count
    head.pop("seamSources", None)


def _sparse_expressions(arrays: dict[str, np.ndarray], _: dict[str, str]) -> None:
    """Let a few bytes stand for four million empty expressions."""
    arrays.pop("exprdirs")
    arrays |= {"exprdirs.counts": np.zeros(1 << 22, np.int32), "exprdirs.indices": np.zeros(0, np.int32),
               "exprdirs.values": np.zeros((0, 3), np.float32)}


MANIFEST = {
    "mistyped layers": in_json(put("layers", 5)), "a layer that is text": in_json(put("layers", ["x"])),
    "a later version": in_json(put("version", "9.0")), "no head": in_json(drop("head")),
    "another edition": in_json(put(("head", "edition"), "flame2020")),
    "another head": in_json(put(("head", "content_hash"), "0" * 64)),
    "a file outside": in_json(put(("head", "file"), "../head.safetensors")),
    "an absolute file": in_json(put(("head", "file"), "/etc/passwd")),
    "an unknown layer": in_json(put(("layers", 0, "kind"), "hologram")),
    "a number that is NaN": in_json(put("version", float("nan"))),
    "a key twice": lambda data: data.replace(b'"version"', b'"format": "x", "version"', 1),
    "nested without end": lambda data: b"[" * 100_000,
    "too long a number": lambda data: data.replace(b'"layers": [', b'"n": ' + b"9" * 5000 + b', "layers": [', 1),
}
TENSORS = {
    "NaN": in_tensors(nan("means")), "scales of infinity": in_tensors(lambda a, _: put("scales", a["scales"] + np.inf)(a)),
    "mistyped": in_tensors(lambda a, _: put("means", a["means"] > 0)(a)),
    "too few rows": in_tensors(lambda a, _: put("means", a["means"][1:])(a)),
    "no means": in_tensors(lambda a, _: a.pop("means")),
    "faces that are not there": in_tensors(
        lambda a, _: put("binding.face_index", a["binding.face_index"].astype(np.int32) + 9999)(a)),
    "a huge header": lambda data: struct.pack("<Q", HUGE) + data[8:],
    "a huge shape": lambda data: data.replace(b'"shape":[24,3]', b'"shape":[99999999999,3]', 1),
}
HEAD = {
    "NaN": in_tensors(nan("v_template")), "no faces": in_tensors(lambda a, _: a.pop("faces")),
    "mistyped": in_tensors(lambda a, _: put("faces", a["faces"].astype(np.float32))(a)),
    "faces that are not there": in_tensors(lambda a, _: put("faces", a["faces"].astype(np.int32) + 9999)(a)),
    "an unknown edition": in_tensors(
        lambda _, m: m.update({k: v.replace('"standin"', '"flame3000"') for k, v in m.items()})),
    "a later format": in_tensors(lambda _, m: m.update({k: v.replace("head/1", "head/9") for k, v in m.items()})),
    "metadata that is no JSON": in_tensors(lambda _, m: m.update(dict.fromkeys(m, "{"))),
    "no metadata": in_tensors(lambda _, m: m.clear()),
    "a huge header": lambda data: struct.pack("<Q", HUGE) + data[8:],
    "a huge sparse table": in_tensors(_sparse_expressions),
}
BINARY = {
    "NaN": lambda data: data[:-4] + struct.pack("<f", np.nan), "a later version": lambda data: data[:4] + b"\t" + data[5:],
    "a huge header": lambda data: data[:8] + struct.pack("<I", 0xFFFFFFFF) + data[12:],
    "too much": lambda data: data + b"\0\0\0\0",
    "huge counts": lambda data: data.replace(b'"frame_count":3', b'"frame_count":9', 1),
    "another edition": lambda data: data.replace(b'"standin"', b'"flame20"', 1),
}
GLB = {
    "a later container": lambda data: data[:4] + struct.pack("<I", 3) + data[8:],
    "a chunk past the end": lambda data: data[:12] + struct.pack("<I", 0xFFFFFFF0) + data[16:],
    "a later version": in_glb(put(("extensions", "FLAMEPORT_avatar", "version"), "9.0")),
    "an unknown edition": in_glb(put(("extensions", "FLAMEPORT_avatar", "head", "edition"), "flame3000")),
    "mistyped accessors": in_glb(put("accessors", {})), "mistyped views": in_glb(put("bufferViews", 7)),
    "mistyped meshes": in_glb(put("meshes", ["x"])), "a huge count": in_glb(put(("accessors", 0, "count"), 2**31 - 1)),
    "a huge count without bytes": in_glb(lambda g: [a.pop("bufferView", 0) or put("count", 2**31 - 1)(a)
                                                   for a in g["accessors"]]),
    "a huge head of zeros": in_glb(_zeros),
    "a huge view": in_glb(put(("bufferViews", 1, "byteLength"), HUGE)),
    "a file outside": in_glb(put(("buffers", 0, "uri"), "../x.bin")),
    "an extension we do not read": in_glb(put("extensionsRequired", ["KHR_draco_mesh_compression"])),
    "NaN": lambda data: data[:-4096] + struct.pack("<f", np.nan) * 1024,
    "NaN in its JSON": in_glb(put("scene", float("nan"))),
}
SEQUENCE = {
    "mistyped frames": in_json(put("frames", {})), "a frame that is text": in_json(put(("frames", 0), "x")),
    "mistyped numbers": in_json(put(("frames", 0, "expr"), ["a"])), "null": in_json(put(("frames", 0, "jaw"), [None] * 3)),
    "too few numbers": in_json(put(("frames", 1, "rotation"), [0.0])), "NaN": in_json(put(("frames", 0, "jaw", 0), np.nan)),
    "infinity": lambda data: data.replace(b'"jaw": [', b'"jaw": [1e999, ', 1),
    "a huge width": in_json(lambda v: [v.update(expr_count=1 << 20), put("frames", [{}] * 4096)(v), v.pop("frame_count")]),
    "no frames": in_json(put("frames", [])), "a later version": in_json(put("format", "flameport.sequence/9")),
    "an unknown edition": in_json(put("basis", "flame3000")), "a rate of zero": in_json(put("fps", 0)),
    "a range outside": in_json(put("ranges", {"a": [0, 999]})), "nested without end": lambda data: b"[" * 100_000,
    "a key twice": lambda data: data.replace(b'"fps"', b'"basis": "x", "fps"', 1),
    "not UTF-8": lambda data: data.replace(b'"basis"', b'"\xff"', 1),
}
ARKIT = {
    "mistyped names": in_json(put("names", 5)), "names that are numbers": in_json(put(("names", 0), 5)),
    "names nobody knows": in_json(put("names", ["a", "b"])), "too few weights": in_json(put(("frames", 1, "weights"), [1])),
    "mistyped weights": in_json(put(("frames", 1, "weights"), ["a", "b"])), "no frames": in_json(put("frames", [])),
    "NaN": in_json(put(("frames", 0, "weights", 0), np.nan)), "a name twice": in_json(put("names", ["jawOpen"] * 2)),
    "beyond float32": in_json(put(("frames", 0, "weights", 0), 1e300)), "a negative rate": in_json(put("fps", -1)),
}
CSV = {
    "mistyped": lambda data: data.replace(b"0.25", b"a quarter", 1), "NaN": lambda data: data.replace(b"0.25", b"nan", 1),
    "infinity": lambda data: data.replace(b"0.25", b"inf", 1), "a NUL": lambda data: data.replace(b"0.25", b"\0", 1),
    "too few cells": lambda data: data + b"\n1,2,3", "a name twice": lambda data: data.replace(b"BrowInnerUp", b"JawOpen"),
    "only names": lambda data: data.splitlines()[0], "not UTF-8": lambda data: data.replace(b"0.25", b"\xff", 1),
    "a huge cell": lambda data: data.replace(b"0.25", b"1" * 200_000, 1),
}
NPZ = {
    "NaN": in_arrays(nan("expr")), "no expr": in_arrays(drop("expr")),
    "mistyped": in_arrays(put("expr", np.array(["a", "b", "c"]))), "too wide": in_arrays(put("jaw_pose", np.zeros((3, 5)))),
    "too short": in_arrays(put("jaw_pose", np.zeros((2, 3)))), "complex": in_arrays(put("expr", np.ones((3, 5), complex))),
    "a pickle": in_arrays(put("expr", np.array([Runs()], object))), "no frames": in_arrays(put("expr", np.zeros((0, 5)))),
    "a later .npy": lambda data: data.replace(b"NUMPY\1", b"NUMPY\7", 1),
    "a member that leaves": with_member("../evil.npy"), "an absolute member": with_member("/evil.npy"), "a bomb": bomb,
    "a huge shape": in_zip("expr.npy", lambda data: npy_claiming((HUGE, 5))),
}
FLAME_PARAMS = {
    "mistyped frames": in_json(put("frames", 3)), "no frames": in_json(put("frames", [])),
    "no pose": in_json(lambda v: v["frames"][0].pop("pose")), "a short pose": in_json(put(("frames", 0, "pose"), [0] * 14)),
    "mistyped pose": in_json(put(("frames", 0, "pose"), ["0"] * 15)),
    "NaN": in_json(put(("frames", 0, "expression", 0), np.nan)), "huge": in_json(put(("frames", 0, "expression", 0), 1e39)),
    "ragged": in_json(put(("frames", 0), {"expression": [1], "pose": [0] * 15, "world_mat": [[0] * 4] * 3})),
    "another camera": in_json(put(("frames", 0, "world_mat"), [[1]])), "no intrinsics": in_json(drop("intrinsics")),
}
CAMERA = {
    "mistyped K": in_json(put("K", "wide")), "K of another shape": in_json(put("K", [[1, 2], [3, 4]])),
    "NaN": in_json(put(("K", 0, 0), np.nan)), "no focal length": in_json(put(("K", 0, 0), 0)),
    "a scaled rotation": in_json(put(("world_to_camera", 0, 0), 2)), "a huge picture": in_json(put("width", 1 << 30)),
    "a width of text": in_json(put("width", "64")), "several": in_json(lambda v: put("cameras", [dict(v)] * 2)(v)),
    "a later version": in_json(put("format", "flameport.camera/9")), "beyond float": in_json(put(("K", 0, 2), 10**400)),
}
PLY = {
    "a huge count": lambda data: data.replace(b"vertex 20", b"vertex 999999999999", 1),
    "a huge count that wraps": lambda data: data.replace(b"vertex 20", b"vertex 271275648142787139", 1),
    "a count of text": lambda data: data.replace(b"vertex 20", b"vertex many", 1),
    "mistyped": lambda data: data.replace(b"float x", b"string x", 1),
    "a list": lambda data: data.replace(b"property float nx", b"property list uchar int nx", 1),
    "no scale_2": lambda data: data.replace(b"scale_2", b"scale_9", 1),
    "a property twice": lambda data: data.replace(b"ny", b"nx", 1),
    "no end of header": lambda data: data.replace(b"end_header", b"end_footer", 1),
    "no format": lambda data: data.replace(b"format binary_little_endian 1.0\n", b"", 1),
    "NaN": lambda data: data[:-4] + struct.pack("<f", np.nan),
    "infinity": lambda data: data[:-4] + struct.pack("<f", np.inf),
    "quaternions of zero": lambda data: data[:-16] + bytes(16),
    "the packed kind": lambda data: data.replace(b"float nx", b"float packed_position", 1),
}
FLAME = {
    "NaN": in_tables(nan("v_template")), "no faces": in_tables(drop("f")), "a list of text": in_tables(put("weights", ["a"])),
    "of another size": in_tables(lambda t: put("shapedirs", t["shapedirs"][:, :, :150])(t)),
    "mistyped": in_tables(lambda t: put("f", t["f"].astype(float))(t)), "posed otherwise": in_tables(put("bs_style", "dqs")),
    "another skeleton": in_tables(put("kintree_table", np.zeros((2, 24), int))),
    "code": lambda data: pickle.dumps(Runs(), 2), "code in a table": in_tables(put("f", Runs())),
    "code by old names": lambda data: b"cos\nsystem\n(S'echo ran >&2'\ntR.",
    "code by an instance": lambda data: b"(S'echo ran >&2'\nios\nsystem\n.",
    "a huge memo": lambda data: b"\x80\x02]r\xff\xff\xff\x7f.",
    "a huge text": lambda data: b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f.",
    "nested without end": lambda data: b"\x80\x02" + b"(" * 2_000_000,
    "a list in itself": lambda data: b"\x80\x02]q\0h\0a.",
}
SIDES = {"code": lambda data: pickle.dumps(Runs(), 2), "a list": lambda data: pickle.dumps([1, 2], 2),
         "mistyped": lambda data: pickle.dumps({"face": "all of it", "static_lmk_faces_idx": "all"}, 2)}
MASKS = SIDES | {"vertices that are not there": lambda data: pickle.dumps({"face": np.array([99999])}, 2),
                 "fractions": lambda data: pickle.dumps({"face": np.array([0.5])}, 2)}
LANDMARKS = SIDES | {
    "NaN": lambda data: pickle.dumps(
        {"static_lmk_faces_idx": np.arange(5), "static_lmk_bary_coords": np.full((5, 3), np.nan)}),
    "a huge .npy": lambda data: npy_claiming((HUGE,)), "code in an .npy": lambda data: npy(np.array(Runs(), object)),
    "faces that are not there": lambda data: pickle.dumps(
        {"static_lmk_faces_idx": np.arange(5) + 9999, "static_lmk_bary_coords": np.full((5, 3), 1 / 3)}),
    "lengths that differ": lambda data: pickle.dumps(
        {"static_lmk_faces_idx": np.arange(5), "static_lmk_bary_coords": np.ones((4, 3))})}
OBJ = {"NaN": lambda data: data.replace(b"vt 0", b"vt nan", 1), "a face of four": lambda data: data + b"\nf 1/1 2/2 3/3 4/4",
       "no texture": lambda data: data.replace(b"/", b" "), "mistyped": lambda data: data.replace(b"vt 0", b"vt x", 1),
       "corners that are not there": lambda data: data + b"\nf 1/1 2/2 99999/3",
       "huge": lambda data: data + b"\nf 1/1 2/2 3/" + b"9" * 99}
LIDS = {"NaN": lambda data: npy(np.full((110, 3), np.nan)), "of another head": lambda data: npy(np.zeros((7, 3))),
        "mistyped": lambda data: npy(np.zeros((110, 3), int)), "code": lambda data: npy(np.array(Runs(), object)),
        "a huge shape": lambda data: npy_claiming((HUGE, 3)), "flat": lambda data: npy(np.zeros(110))}
