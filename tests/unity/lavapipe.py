"""Skipping, or failing in CI, where the tools are missing that run the Unity package's shaders on a CPU."""

import os

import pytest

from unity_sample.ci import kernels


def needed() -> None:
    """Skip the test where glslang, wgpu or Mesa's driver is missing.

    In CI they have to be there once scripts/test has called graphics_tools.sh, which makes their folder: the test fails then.
    """
    try:
        kernels.compiler()
        kernels.device()
    except kernels.Missing as error:
        if os.environ.get("CI") == "true" and kernels.tools_folder().is_dir():
            pytest.fail(str(error))
        pytest.skip(str(error))
