"""The C# core of the Unity package: compiled for Unity's profile and language, and run against the golden files on .NET."""

import os
from pathlib import Path

import pytest

from tests.unity import core
from tests.web_viewer.browser import unavailable


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[core.Outcome]]:
    """Every NUnit case's outcome, by `Class.Method`."""
    try:
        if os.environ.get("CI") == "true":
            core.dotnet_tools.install()
        found = core.run_tests(tmp_path_factory.mktemp("unity_core"))
    except core.dotnet_tools.ToolMissing as error:
        unavailable(str(error))
    by_method: dict[str, list[core.Outcome]] = {}
    for outcome in found:
        by_method.setdefault(outcome.name.partition("(")[0], []).append(outcome)
    return by_method


@pytest.mark.parametrize("method", core.nunit_methods())
def test_nunit(method: str, outcomes: dict[str, list[core.Outcome]]) -> None:
    cases = outcomes.pop(method)
    failed = [f"{case.name}: {case.message}" for case in cases if case.outcome == "failed"]
    assert not failed, "\n".join(failed).replace("\\n", "\n")
    # Nothing may be left out where the whole repository is there.
    assert [case.name for case in cases if case.outcome == "skipped"] == []


def test_a_missing_compiler_is_said(tmp_path: Path) -> None:
    with pytest.raises(core.dotnet_tools.ToolMissing, match="dotnet_tools.py"):
        core.dotnet_tools.compile_cs([], tmp_path / "a.dll", folder=tmp_path)
