"""The self-test that users run in Unity: its file is current, and every check of it holds on the CPU Vulkan driver."""

from typing import Any

import numpy as np
import pytest

from formats.codecs.unity_file import UnityFile, parse
from formats.picture import psnr
from tests.unity.lavapipe import needed
from unity_sample.ci import kernels, self_test
from unity_sample.ci.pictures import Target

KERNELS = {"PoseVertices", "TurnVertices", "PoseSplats", "ProjectSplats", "CountDigits", "ScanDigits", "Scatter"}


@pytest.fixture(scope="module")
def committed() -> UnityFile:
    return parse(self_test.OUT.read_bytes(), "SelfTest.bytes")


def test_the_file_is_what_its_command_makes(committed: UnityFile) -> None:
    made = parse(self_test.build(), "made")
    assert {k: v for k, v in made.json.items() if k != "player"} == {k: v for k, v in committed.json.items() if k != "player"}, (
        "run python unity_sample/ci/self_test.py")
    assert list(made.chunks) == list(committed.chunks)
    for entry in committed.json["checks"]:
        if "chunk" in entry:
            one, other = (np.frombuffer(file.chunks[entry["chunk"]], np.float32) for file in (made, committed))
            # Other processors, and other numbers of threads, round otherwise.
            np.testing.assert_allclose(one, other, atol=1e-4, err_msg=entry["name"])
    assert len(self_test.OUT.read_bytes()) < 700_000


def test_every_check_of_the_self_test_holds_here(committed: UnityFile) -> None:
    needed()
    said, chunks = committed.json, committed.chunks
    assert {step["kernel"] for step in said["steps"]} == KERNELS
    assert KERNELS <= {name for check in said["checks"] for name in check["kernel"].split(", ")}
    buffers: dict[str, Any] = {}
    for entry in said["buffers"]:
        size = entry["rows"] * entry["stride"]
        if "pattern" in entry:
            buffers[entry["name"]] = kernels.upload(keys(entry["rows"]))
        elif "chunk" in entry:
            data = chunks[entry["chunk"]]
            data = parse(data, "inside").chunks[entry["inside"]] if "inside" in entry else data
            assert len(data) == size, entry["name"]
            buffers[entry["name"]] = kernels.upload(np.frombuffer(data, np.uint8))
        else:
            buffers[entry["name"]] = kernels.empty(size)
    for step in said["steps"]:
        bound = {name: buffers[buffer] for name, buffer in step["buffers"].items()}
        kernels.kernel(step["kernel"]).run(bound, step["constants"], step["groups"])
    for check in said["checks"]:
        found = error_of(check, buffers[check["buffer"]], chunks, said["buffers"])
        assert found <= check["bound"], f"{check['name']}: {found:.3g}"
    picture = said["picture"]
    target = Target(picture["width"], picture["height"])
    target.draw("Avatar.shader", "Splats", 3 * picture["total"],
                {"_Order": buffers[picture["order"]], "_EllipsesIn": buffers[picture["ellipses"]]},
                {"_Picture": [float(picture["width"]), float(picture["height"]), 1.0, 0.0], "_Depth": [0.5, 0.0, 0.0, 0.0],
                 "_Linear": 0.0}, clear=(0, 0, 0, 0))
    rgba = target.read()
    wanted = np.frombuffer(chunks[picture["chunk"]], np.uint8).reshape(*rgba.shape[:2], 3) / 255
    assert wanted.std() > 0.1
    assert psnr(np.clip(rgba[..., :3] + 1 - rgba[..., 3:], 0, 1), wanted) > picture["bound"] + 5


def keys(count: int) -> np.ndarray:
    """Return what the buffer pattern `keys` means: keys that repeat, spread over all 32 bits."""
    return (np.arange(count, dtype=np.uint64) * 2654435761 % 2**32 % 40009 * 100003).astype(np.uint32)


def error_of(check: dict[str, Any], buffer: Any, chunks: Any, entries: list[dict[str, Any]]) -> float:
    """Return how far a buffer is from what is expected of it, as `Core/SelfTest` computes it."""
    if check["kind"] == "sorted":
        count = next(entry["rows"] for entry in entries if entry["name"] == check["buffer"])
        order = count - 1 - np.argsort(keys(count), kind="stable")
        return int((kernels.download(buffer, np.uint32, count) != order).sum())
    wanted = np.frombuffer(chunks[check["chunk"]], np.float32).reshape(-1, check["width"]).astype(np.float64)
    rows = kernels.download(buffer, np.float32)[check["at"]:]
    rows = np.pad(rows, (0, -len(rows) % check["every"])).reshape(-1, check["every"])[:len(wanted), :check["width"]]
    difference = np.abs(rows - wanted)
    if check["kind"] == "turn":
        flip = difference.max(axis=1) > np.abs(rows + wanted).max(axis=1)
        difference[flip] = np.abs(rows + wanted)[flip]
    if check["kind"] == "relative":
        difference /= np.maximum(np.abs(wanted), 1e-6)
    assert np.isfinite(wanted).mean() > 0.2, "hardly anything is compared"
    return float(np.nanmax(difference))
