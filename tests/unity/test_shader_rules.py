"""The Unity package's shaders keep to what every front end takes; no tools needed."""

import re
from pathlib import Path

import pytest

from unity_sample.ci.kernels import KERNELS, SHADERS

FILES = sorted([*SHADERS.glob("*.hlsl"), *SHADERS.glob("*.compute"), *SHADERS.glob("*.shader")])
FORBIDDEN = {
    r"StructuredBuffer<\w*3>": "buffers of three components have stride 12 in one place and 16 in another",
    r"StructuredBuffer<\w*\dx\d>": "compilers differ in how matrices lie in buffers",
    r"\bWave[A-Z]\w+|\bQuad(Read|Any|All)\w*": "not every platform has wave operations",
    r"\b(min16\w+|float16_t|uint16_t|f16tof32|f32tof16)\b": "not every driver takes 16-bit types",
    r"\b(double|uint64_t|int64_t)\b": "not every driver takes 64-bit types",
    r"UNITY_|unity_|UnityCG|render-pipelines": "what the shaders need comes in by name",
    r"\bcontinue\b": "one compiler's loops came out wrong with it (dynamics.hlsl)",
    r"\bdiscard\b|\bclip\s*\(": "it costs early depth tests"}
RESERVED = ("asm", "BlendState", "Buffer", "centroid", "class", "compile", "export", "fxgroup", "half", "interface", "line",
            "lineadj", "linear", "matrix", "namespace", "noperspective", "packoffset", "pass", "pixelfragment", "point",
            "precise", "register", "sample", "sampler", "shared", "snorm", "stateblock", "string", "technique", "texture",
            "triangle", "triangleadj", "unorm", "unsigned", "vector", "vertexfragment", "volatile")
TYPE = r"(?:float|uint|int|bool)(?:[234](?:x[34])?)?"


def code(text: str) -> str:
    """Return a shader without its comments."""
    return re.sub(r"//[^\n]*", "", text)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_that_some_platform_refuses(path: Path) -> None:
    text = code(path.read_text())
    for pattern, reason in FORBIDDEN.items():
        found = re.search(pattern, text)
        assert found is None, f"{path.name}: '{found and found[0]}': {reason}"
    names = set(re.findall(rf"\b{TYPE}\s+(\w+)", text))
    assert not names & set(RESERVED), f"{path.name}: names that some front end reserves"


def test_every_kernel_is_declared_and_every_program_names_its_target() -> None:
    text = KERNELS.read_text()
    declared = re.findall(r"^#pragma kernel (\w+)$", text, re.M)
    made = re.findall(r"^\[numthreads\([^\n]*\)\]\nvoid (\w+)\(", text, re.M)
    assert declared and sorted(declared) == sorted(made)
    assert "#pragma target 4.5" in text
    for path in SHADERS.glob("*.shader"):
        # 3.5 has no buffers: devices without compute shaders take these passes, which read textures alone.
        shader, without = path.read_text(), path.stem in ("AvatarFallback", "AvatarComposite")
        assert shader.count(f"#pragma target {'3.5' if without else '4.5'}") == shader.count("HLSLPROGRAM") > 0, path.name
        assert ("#define FROM_TEXTURE" in shader) == without, path.name


def test_every_file_is_named_in_the_page_about_them_and_includes_only_neighbours() -> None:
    page = (SHADERS / "README.md").read_text()
    for path in FILES:
        assert f"`{path.name}`" in page, path.name
        for name in re.findall(r'#include "([^"]+)"', path.read_text()):
            assert (SHADERS / name).is_file(), f"{path.name} includes {name}"


@pytest.mark.parametrize("path", [p for p in FILES if p.suffix == ".hlsl"], ids=lambda path: path.name)
def test_what_a_file_uses_twice_is_guarded(path: Path) -> None:
    guard = f"FLAMEPORT_{path.stem.upper()}"
    assert f"#ifndef {guard}\n#define {guard}\n" in path.read_text()
