"""Slang, a second HLSL compiler with a front end of its own, out of the PyPI package slangpy: its library's C interface.

For `scripts/test --long`: the package is 290 MB. What it compiles runs on the CPU driver as glslang's does.
"""

import ctypes
import functools
from pathlib import Path

from unity_sample.ci.kernels import SHADERS, Missing, tools_folder

_LISTENER = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_void_p)
HLSL, SPIRV, ROW_MAJOR = 2, 6, 1
STAGES = {"vert": 1, "frag": 5, "comp": 6}


@functools.cache
def _library() -> ctypes.CDLL:
    folder = tools_folder().with_name(tools_folder().name + "-slang") / "slangpy"
    found = sorted(folder.glob("libslang-compiler.so*"))
    if not found:
        raise Missing(f"slang is not in {folder}; run unity_sample/ci/graphics_tools.sh --long")
    library = ctypes.CDLL(str(found[0]))
    for name in ("spCreateSession", "spCreateCompileRequest", "spGetEntryPointCode"):
        getattr(library, name).restype = ctypes.c_void_p
    return library


@functools.cache
def _session() -> int:
    return _library().spCreateSession(None)


def compile_shader(source: Path, entry: str, stage: str = "comp", defines: tuple[str, ...] = ()) -> bytes:
    """Return SPIR-V of one entry point, which is renamed `main`; arguments as `kernels.compile_shader`.

    Raises:
        ValueError: It does not compile.
        Missing: slangpy is not installed.
    """
    slang = _library()
    request = ctypes.c_void_p(slang.spCreateCompileRequest(ctypes.c_void_p(_session())))
    said: list[str] = []
    listener = _LISTENER(lambda message, _: said.append(message.decode(errors="replace")))
    slang.spSetDiagnosticCallback(request, listener, None)
    slang.spSetCodeGenTarget(request, SPIRV)
    slang.spSetTargetProfile(request, 0, slang.spFindProfile(ctypes.c_void_p(_session()), b"spirv_1_3"))
    slang.spSetMatrixLayoutMode(request, ROW_MAJOR)
    slang.spAddSearchPath(request, str(SHADERS).encode())
    for name in defines:
        slang.spAddPreprocessorDefine(request, name.encode(), b"1")
    unit = slang.spAddTranslationUnit(request, HLSL, None)
    slang.spAddTranslationUnitSourceFile(request, unit, str(source).encode())
    point = slang.spAddEntryPoint(request, unit, entry.encode(), STAGES[stage])
    try:
        if slang.spCompile(request):
            raise ValueError(f"{source.name}: {entry}: {''.join(said).strip()}")
        size = ctypes.c_size_t()
        code = slang.spGetEntryPointCode(request, point, ctypes.byref(size))
        return ctypes.string_at(code, size.value)
    finally:
        slang.spDestroyCompileRequest(request)
