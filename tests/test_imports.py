"""From another system's file to a page, by the commands that flameport itself names: inspect, import, pose, export, validate."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import flameport  # noqa: E402
from formats.codecs import head_file, sequence_json  # noqa: E402
from tests.originals import (  # noqa: E402
    baked_avatar,
    fate,
    flash_avatar,
    gaussian_avatars,
    gaussian_hair,
    gaussian_head_avatar,
    mono_gaussian_avatar,
    osgap,
    splatting_avatar,
)
from tests.originals.posed import Original  # noqa: E402

CASES = {
    "fate": lambda folder: fate.write(folder),
    "fate-nersemble": lambda folder: fate.write(folder, "nersemble"),
    "fate-dump": lambda folder: fate.write(folder, "dump"),
    "gaussian-avatars": lambda folder: gaussian_avatars.write(folder),
    "flash-avatar": lambda folder: flash_avatar.write(folder),
    "splatting-avatar": lambda folder: splatting_avatar.write(folder),
    "mono-gaussian-avatar": lambda folder: mono_gaussian_avatar.write(folder, n=200),
    "gaussian-head-avatar": lambda folder: gaussian_head_avatar.write(folder, n=300),
    "gaussian-head-avatar-hair": lambda folder: gaussian_hair.write(folder, n=60, heads=100),
    "osgap": lambda folder: osgap.write(folder),
    "osgap-maps": lambda folder: osgap.write(folder, "uv"),
    "baked-avatar": lambda folder: baked_avatar.write(folder, layers=2),
}


def run(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    code = flameport.main([str(word) for word in words])
    out, err = capsys.readouterr()
    assert code == 0, err
    return out


@pytest.mark.parametrize("name", CASES)
def test_what_inspect_says_to_run_makes_an_avatar_that_plays(name: str, tmp_path: Path,
                                                             capsys: pytest.CaptureFixture[str]) -> None:
    made: Original = CASES[name](tmp_path / "theirs")
    system = next(s for s in sorted(flameport_systems(), key=len, reverse=True) if name.startswith(s))
    found = json.loads(run(capsys, "inspect", made.path, "--json"))
    assert found["system"] == system
    words = shlex.split(found["import"])[1:]
    head, avatar = tmp_path / "head.safetensors", tmp_path / "ours.avatar"
    if made.head is not None:
        head_file.write(made.head, head)
    words = [str(head) if word == "HEAD.safetensors" else word for word in words[:words.index("--out")]]
    words = [f"params={made.sides['params']}" if word == "params=PATH" else word for word in words]
    run(capsys, *words, "--out", avatar)
    ours = flameport.load(avatar)
    assert ours.meta.system == system and ours.meta.paper and ours.meta.license_notices
    clip = tmp_path / "clip.json"
    sequence_json.write(made.sequence, clip)
    run(capsys, "pose", avatar, "--sequence", clip, "--frames", "0", "--out", tmp_path / "posed.npz")
    with np.load(tmp_path / "posed.npz") as posed:
        assert all(np.isfinite(posed[key]).all() for key in posed.files)
    run(capsys, "export", avatar, "glb", "--out", tmp_path / "ours.glb")
    run(capsys, "validate", tmp_path / "ours.glb", "--against", avatar, "--frames", "2")


def flameport_systems() -> tuple[str, ...]:
    from formats.importers import IMPORTERS

    return tuple(IMPORTERS)
