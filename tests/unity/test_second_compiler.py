"""A compiler with another front end reads the Unity package's shaders the same way."""

from pathlib import Path

import numpy as np
import pytest

from formats.codecs.packed_texels import pack
from formats.render import RenderOptions
from tests.builders import tiny_camera
from tests.unity.lavapipe import needed
from tests.unity.test_kernels import golden
from unity_sample.ci import kernels, pictures, player, slang
from unity_sample.ci.kernels import Kernel
from unity_sample.ci.player import Player

pytestmark = pytest.mark.long
KERNELS = [line.split()[-1] for line in kernels.KERNELS.read_text().splitlines() if line.startswith("#pragma kernel")]
PASSES = [(shader, name) for shader in ("Avatar.shader", "AvatarComposite.shader", "AvatarFallback.shader", "AvatarMesh.shader")
          for name in pictures.programs(shader)]


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    needed()
    try:
        slang.compile_shader(kernels.KERNELS, "CountDigits")
    except kernels.Missing as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_take_the_same_buffers(name: str) -> None:
    first = kernels.kernel(name).reflection
    second = Kernel(name, code=slang.compile_shader(kernels.KERNELS, name)).reflection
    assert {(s.name, s.sort) for s in first.slots.values()} == {(s.name, s.sort) for s in second.slots.values()}
    assert set(second.offsets) <= set(first.offsets)


@pytest.mark.parametrize(("shader", "name"), PASSES)
def test_passes_compile(shader: str, name: str, tmp_path: Path) -> None:
    program = pictures.programs(shader)[name]
    source = tmp_path / f"{name}.hlsl"
    source.write_text(program["code"])
    for stage, entry in (("vert", "vertex"), ("frag", "fragment")):
        for defines in ((), ("EXACT_LOOKUP",)):
            assert slang.compile_shader(source, program[entry], stage, defines)
            assert kernels.compile_shader(source, program[entry], stage, defines)


@pytest.mark.parametrize("name", ["corner", "linear-posed", "own-skin-turning-posed-lids", "vertex", "vertex-index-surface"])
def test_kernels_of_both_compilers_agree(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    avatar, sequence = golden(name)
    found = []
    for second in (False, True):
        if second:
            made = {kernel: Kernel(kernel, code=slang.compile_shader(kernels.KERNELS, kernel)) for kernel in KERNELS}
            monkeypatch.setattr(player, "kernel", made.__getitem__)
            monkeypatch.setattr(kernels, "kernel", made.__getitem__)
        one = Player(pack(avatar, "half"))
        one.look(sequence.sample(1.5), tiny_camera(0.4), RenderOptions(near=0.05))
        one.pose()
        one.project()
        keys = kernels.download(one.buffers["_Keys"], np.uint32, one.records.total)
        order = kernels.download(one.order(), np.uint32, one.records.total)
        np.testing.assert_array_equal(order, np.argsort(keys, kind="stable") * -1 + one.records.total - 1)
        rows = kernels.download(one.buffers["_Ellipses"], np.float32, 12 * one.records.total)
        found.append((one.world(), rows, keys.astype(int)))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-3, atol=1e-3)
    assert np.abs(found[0][2] - found[1][2]).max() <= 1  # the last bit of a depth
