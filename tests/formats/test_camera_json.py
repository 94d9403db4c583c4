"""Camera files."""

import json
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from formats.codecs import camera_json
from formats.errors import AvatarError, FormatError, MissingAsset, UnsupportedFeature
from tests.builders import assert_same, tiny_camera

SCHEMA = json.loads((Path(camera_json.__file__).parents[1] / "schemas" / "camera.schema.json").read_text())


def test_one_and_several_round_trip_to_the_bit(tmp_path):
    path = tmp_path / "c.json"
    camera_json.write(tiny_camera(0.3), path)
    assert_same(tiny_camera(0.3), camera_json.read(path))
    Draft202012Validator(SCHEMA).validate(json.loads(path.read_text()))
    several = tuple(tiny_camera(angle) for angle in (-0.5, 0, 0.5))
    camera_json.write(several, path)
    assert_same(several, camera_json.read_all(path))
    Draft202012Validator(SCHEMA).validate(json.loads(path.read_text()))
    with pytest.raises(FormatError, match="expected one camera, it holds 3"):
        camera_json.read(path)
    with pytest.raises(FormatError, match="no camera"):
        camera_json.write([], path)
    assert camera_json.sniff(path.read_bytes())


GOOD = {"format": "flameport.camera/1", "K": [[100, 0, 32], [0, 100, 32], [0, 0, 1]],
        "world_to_camera": np.eye(4).tolist(), "width": 64, "height": 64}
WRONG = {
    "format": ({"format": "flameport.sequence/1"}, FormatError, "flameport.camera/1"),
    "version": ({"format": "flameport.camera/9"}, UnsupportedFeature, "this version reads"),
    "no K": ({"K": None}, FormatError, "'K' is missing"),
    "K text": ({"K": "K"}, FormatError, "expected a list"),
    "K shape": ({"K": [[1]]}, FormatError, "expected shape"),
    "K negative": ({"K": [[-100, 0, 32], [0, 100, 32], [0, 0, 1]]}, FormatError, "positive"),
    "scaled": ({"world_to_camera": (2 * np.eye(4)).tolist()}, FormatError, "rotation"),
    "mirrored": ({"world_to_camera": np.diag([-1, 1, 1, 1]).tolist()}, FormatError, "rotation"),
    "infinite": ({"world_to_camera": np.diag([1, 1, 1, 1e999]).tolist()}, FormatError, "Infinity|not finite"),
    "width zero": ({"width": 0}, FormatError, "1..16384"),
    "width half": ({"width": 64.5}, FormatError, "whole number"),
    "width true": ({"width": True}, FormatError, "true or false"),
    "empty list": ({"cameras": []}, FormatError, "empty"),
    "list of numbers": ({"cameras": [1]}, FormatError, "camera 0: expected an object"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_cameras_end_in_one_clear_error(case, tmp_path):
    change, error, message = WRONG[case]
    text = json.dumps({k: v for k, v in (GOOD | change).items() if v is not None})
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(error, match=message) as caught:
        camera_json.read(tmp_path / "c.json")
    assert "c.json" in str(caught.value)


def test_absent_and_damaged(tmp_path):
    with pytest.raises(MissingAsset):
        camera_json.read(tmp_path / "c.json")
    text = json.dumps(GOOD)
    for end in range(0, len(text) - 1, 7):
        (tmp_path / "c.json").write_text(text[:end])
        with pytest.raises(AvatarError):
            camera_json.read(tmp_path / "c.json")
