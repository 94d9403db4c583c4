"""The PLY of Gaussians, with plyfile as a second reader and writer."""

import numpy as np
import plyfile
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.codecs import inria_ply
from formats.errors import AvatarError, FormatError, MissingAsset, UnsupportedFeature
from formats.gaussians import GaussianCloud
from tests.builders import assert_same, tiny_cloud

TOLERANCE = 1e-6
"""Relative: a scale of 1e-3 has a logarithm near -7, whose float32 rounding is 2.4e-7 absolute; logits likewise."""


@pytest.mark.parametrize("degree", range(4))
def test_round_trip(degree, tmp_path):
    cloud = tiny_cloud(30, degree)
    inria_ply.write(cloud, tmp_path / "c.ply")
    again = inria_ply.read(tmp_path / "c.ply")
    for name in ("means", "quats", "sh"):
        assert_same(getattr(cloud, name), getattr(again, name), name)
    for name in ("scales", "opacities"):
        np.testing.assert_allclose(getattr(again, name), getattr(cloud, name), rtol=TOLERANCE)
    assert inria_ply.sniff((tmp_path / "c.ply").read_bytes())


@pytest.mark.parametrize("degree", range(4))
def test_plyfile_reads_what_the_sheet_says(degree, tmp_path):
    cloud = tiny_cloud(7, degree)
    inria_ply.write(cloud, tmp_path / "c.ply")
    vertex = plyfile.PlyData.read(tmp_path / "c.ply")["vertex"]
    rest = 3 * ((degree + 1) ** 2 - 1)
    assert [p.name for p in vertex.properties] == [
        "x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", *(f"f_rest_{i}" for i in range(rest)),
        "opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    assert (vertex["y"] == cloud.means[:, 1]).all() and (vertex["rot_0"] == cloud.quats[:, 0]).all()
    np.testing.assert_allclose(np.exp(vertex["scale_2"].astype(float)), cloud.scales[:, 2], rtol=TOLERANCE)
    np.testing.assert_allclose(1 / (1 + np.exp(-vertex["opacity"].astype(float))), cloud.opacities, rtol=TOLERANCE)
    # Channel after channel: green's second coefficient comes after all of red's.
    per_channel = rest // 3
    for channel in range(3 if degree else 0):
        for k in range(per_channel):
            assert (vertex[f"f_rest_{channel * per_channel + k}"] == cloud.sh[:, k + 1, channel]).all()


@pytest.mark.parametrize("text, order", [(False, "<"), (False, ">"), (True, "=")])
def test_what_plyfile_writes_reads(text, order, tmp_path):
    cloud = tiny_cloud(5, 1)
    inria_ply.write(cloud, tmp_path / "ours.ply")
    ours = plyfile.PlyData.read(tmp_path / "ours.ply")["vertex"].data
    kept = [name for name in ours.dtype.names if not name.startswith("n")]
    table = np.zeros(5, [("binding_0", "f8"), *((name, "f4") for name in reversed(kept))])
    table["binding_0"] = [5, 4, 3, 2, 1]
    for name in kept:
        table[name] = ours[name]
    other = plyfile.PlyElement.describe(np.array([(1, 2.5)], [("a", "u1"), ("b", "f8")]), "other")
    faces = plyfile.PlyElement.describe(np.array([([0, 1, 2],)], [("vertex_indices", "O")]), "face",
                                        val_types={"vertex_indices": "i4"})
    elements = [other, plyfile.PlyElement.describe(table, "vertex"), faces]
    plyfile.PlyData(elements, text=text, byte_order=order, comments=["by hand"]).write(tmp_path / "theirs.ply")
    fields = inria_ply.read_fields(tmp_path / "theirs.ply")
    assert list(fields)[0] == "binding_0" and fields["binding_0"].tolist() == [5, 4, 3, 2, 1]
    assert_same(inria_ply.read(tmp_path / "ours.ply"), inria_ply.read(tmp_path / "theirs.ply"))


def test_padding_and_cutting_sh(tmp_path):
    cloud = tiny_cloud(4, 1)
    inria_ply.write(cloud, tmp_path / "c.ply", sh_degree=3)
    padded = inria_ply.read(tmp_path / "c.ply")
    assert padded.sh_degree == 3 and (padded.sh[:, :4] == cloud.sh).all() and not padded.sh[:, 4:].any()
    inria_ply.write(cloud, tmp_path / "c.ply", sh_degree=0)
    assert (inria_ply.read(tmp_path / "c.ply").sh == cloud.sh[:, :1]).all()
    with pytest.raises(UnsupportedFeature, match="degrees 0 to 3"):
        inria_ply.write(cloud, tmp_path / "d.ply", sh_degree=4)


def test_extremes_and_nothing(tmp_path):
    cloud = GaussianCloud([[0, 0, 0]] * 2, [[1, 0, 0, 0]] * 2, [[0, 1e-9, 1]] * 2, [0, 1], np.zeros((2, 1, 3)))
    inria_ply.write(cloud, tmp_path / "c.ply")
    again = inria_ply.read(tmp_path / "c.ply")
    # float32 rounds the logit of 1 - 1e-7 by up to 1e-6.
    np.testing.assert_allclose(again.opacities, [0, 1], atol=1.3e-7)
    np.testing.assert_allclose(again.scales, cloud.scales, rtol=2e-6, atol=1e-19)
    empty = tiny_cloud(0, 2)
    inria_ply.write(empty, tmp_path / "e.ply")
    assert_same(empty, inria_ply.read(tmp_path / "e.ply"))


def header(*properties: str, count: str = "1", start: str = "format binary_little_endian 1.0") -> bytes:
    lines = ["ply", start, f"element vertex {count}", *(f"property float {name}" for name in properties), "end_header"]
    return ("\n".join(lines) + "\n").encode()


POINT = ("x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1",
         "rot_2", "rot_3")
ONE = np.array([0] * 10 + [1, 0, 0, 0], "<f4").tobytes()
WRONG = {
    "empty": (b"", FormatError, "is empty"),
    "another": (b"glTF....", FormatError, "not a PLY"),
    "no end": (header(*POINT)[:-12], FormatError, "end_header"),
    "cut": (header(*POINT) + ONE[:-1], FormatError, "1 vertices of 56 bytes need 56 bytes, 55 are there"),
    "many": (header(*POINT, count="999999999999"), FormatError, "cut off"),
    "absurd": (header(*POINT, count="9" * 40), FormatError, "cannot read the header line"),
    "negative": (header(*POINT, count="-1"), FormatError, "cannot read the header line"),
    "no format": (header(*POINT, start="comment none"), FormatError, "names no format"),
    "format": (header(*POINT, start="format middle_endian 1.0"), FormatError, "cannot read"),
    "type": (header(*POINT).replace(b"property float x", b"property half x"), FormatError, "property half x"),
    "twice": (header("x", *POINT), FormatError, "twice"),
    "no vertex": (b"ply\nformat ascii 1.0\nelement face 0\nend_header\n", FormatError, "found face"),
    "2D": (header(*(p for p in POINT if p != "scale_2")) + ONE, FormatError, "scale_2 missing.*2D"),
    "names": (header("x", "y", "z") + ONE, FormatError, "opacity.* missing; found x, y, z"),
    "rest": (header(*POINT, "f_rest_0") + ONE + ONE, FormatError, "expected 0, 9, 24 or 45"),
    "rest gap": (header(*POINT, *(f"f_rest_{i}" for i in range(1, 10))) + ONE * 2, FormatError, "f_rest_0"),
    "list": (header(*POINT).replace(b"end_h", b"property list uchar int a\nend_h") + ONE, UnsupportedFeature, "list 'a'"),
    "list before": (b"ply\nformat ascii 1.0\nelement face 1\nproperty list uchar int a\nelement vertex 0\nend_header\n",
                    UnsupportedFeature, "'vertex' first"),
    "compressed": (header("packed_position") + ONE, UnsupportedFeature, "compressed"),
    "NaN": (header(*POINT) + np.array([np.nan] * 14, "<f4").tobytes(), FormatError, "not finite"),
    "overflow": (header(*POINT) + np.array([0] * 7 + [999] + [0] * 2 + [1, 0, 0, 0], "<f4").tobytes(), FormatError,
                 "scales: 1 of 3 values are not finite"),
    "no turn": (header(*POINT) + bytes(56), FormatError, "quaternions are zero"),
    "words": (header(*POINT, start="format ascii 1.0") + b"a " * 14, FormatError, "expected numbers"),
    "few words": (header(*POINT, start="format ascii 1.0") + b"1 2", FormatError, "2 numbers are there"),
    "binary header": (b"ply\n\xff\xfe\nend_header\n", FormatError, "not ASCII"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files_end_in_one_clear_error(case, tmp_path):
    data, error, message = WRONG[case]
    (tmp_path / "c.ply").write_bytes(data)
    with pytest.raises(error, match=message) as caught:
        inria_ply.read(tmp_path / "c.ply")
    assert "c.ply" in str(caught.value) and "\n" not in str(caught.value)


def test_absent(tmp_path):
    with pytest.raises(MissingAsset):
        inria_ply.read(tmp_path / "c.ply")


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_flipped_bytes_never_raise_anything_else(data):
    damaged = bytearray(inria_ply.pack(tiny_cloud(2, data.draw(st.integers(0, 1)))))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        inria_ply.cloud_of(inria_ply.parse_fields(bytes(damaged), "c.ply"), "c.ply")
    except AvatarError as error:
        assert "\n" not in str(error)
