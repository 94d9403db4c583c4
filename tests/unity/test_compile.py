"""The Unity package compiles for 2022.3 and 6000, each pipeline, editor and player, by its own asmdefs, against stand-ins."""

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.unity import network_files, stage
from tests.unity.stage import Built
from unity_sample.ci import assemblies
from unity_sample.ci.assemblies import CELLS, Cell


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Every cell, compiled once for all tests and processes."""
    return stage.built(stage.shared_folder(tmp_path_factory))


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_the_package_compiles(cell: Cell, compiled: Built) -> None:
    plan, errors = compiled.plan, compiled.errors
    assert plan.problems == []
    found = {name: key for (known, name), key in plan.cells.items() if known == cell and name in plan.found}
    expected = {"Flameport.Core", "Flameport.Runtime"} | ({"Flameport.Editor", "Flameport.Core.Tests"} if cell.editor else set())
    expected |= {"URP": {"Flameport.Runtime.Universal"}, "HDRP": {"Flameport.Runtime.HighDefinition"}}.get(cell.pipeline, set())
    expected |= {"Flameport.Runtime.Inference"} if cell.inference else set()
    assert expected <= set(found) and ("Flameport.Runtime.Inference" in found) == cell.inference
    if cell.pipeline == "built-in":
        assert not {"Flameport.Runtime.Universal", "Flameport.Runtime.HighDefinition"} & set(found)
    said = [f"{name}: {line}" for name, key in found.items() for line in errors.get(key, [])]
    assert said == [], "\n".join(said)


@pytest.mark.parametrize("cell", stage.ENGINES, ids=lambda cell: cell.name)
def test_networks_through_inference_give_what_the_processor_gives(cell: Cell, compiled: Built, tmp_path: Path) -> None:
    """Every operator by itself, and networks of avatars; the stand-in computes on the processor, in its own arithmetic."""
    lines = [(case["name"], case["onnx"], case["inputs"], case["outputs"])
             for case in [*network_files.operators(), network_files.still()]]
    lines += [(name, base64.b64encode(stored.onnx).decode(), stored.inputs, stored.outputs)
              for name, stored in network_files.moving().items()]
    path = tmp_path / "networks.txt"
    path.write_text("\n".join("\t".join((name, onnx, _ports(taken), _ports(given))) for name, onnx, taken, given in lines))
    said = stage.dotnet_tools.run_program(compiled.programs[cell], str(path))
    answers = dict(line.split("\t", 1) for line in said.splitlines())
    assert len(answers) == len(lines) + 1 and answers.pop("no compute") == "none"
    assert {name for name, answer in answers.items() if answer.startswith("none")} == {"still"}
    worst = {name: float(answer) for name, answer in answers.items() if not answer.startswith("none")}
    assert {name: answer for name, answer in worst.items() if not answer < 1e-5} == {}


def _ports(ports: list[Any]) -> str:
    return ";".join(f"{port['name']}:{','.join(map(str, port['shape']))}" for port in ports)


def test_the_stand_ins_compile(compiled: Built) -> None:
    plan, errors = compiled.plan, compiled.errors
    standins = [key for key, unit in plan.units.items() if unit.name in assemblies.STANDINS]
    assert len(standins) >= 12
    assert [line for key in standins for line in errors.get(key, [])] == []


def test_what_one_version_lacks_does_not_compile_there(compiled: Built) -> None:
    plan, errors = compiled.plan, compiled.errors
    old, new = (Cell(unity, "URP") for unity in ("2022.3", "6000.0"))

    def said(cell: Cell, name: str) -> str:
        return "\n".join(errors.get(plan.cells[cell, name], []))

    assert "ContextItem" in said(old, "New") and said(new, "New") == ""
    assert said(old, "Old") == "" and "CS0618" in said(new, "Old")
    for cell in (old, new):
        assert "framesCounted" in said(cell, "Nowhere")


def test_an_assembly_sees_only_what_its_asmdef_names(compiled: Built) -> None:
    plan, errors = compiled.plan, compiled.errors
    broken = [key for key, unit in plan.units.items() if unit.name == "Broken"]
    assert len(broken) == 2 and all(errors.get(key) for key in broken)


def test_version_expressions() -> None:
    wanted = assemblies.wanted
    assert wanted("", "1.0.0") and wanted("14.0.0", "14.0.11") and not wanted("14.0.0", "13.9.9")
    assert wanted("[14.0.0,15.0.0)", "14.0.11") and not wanted("[14.0.0,15.0.0)", "15.0.0")
    assert wanted("[14.0.0,15.0.0]", "15.0.0") and not wanted("(14.0.0,15.0.0)", "14.0.0")


def test_an_asmdef_decides_where_it_is_built() -> None:
    said = {"includePlatforms": ["Editor"], "defineConstraints": [], "versionDefines": []}
    assert assemblies.is_built(said, Cell("2022.3", "built-in"))
    assert not assemblies.is_built(said, Cell("2022.3", "built-in", editor=False))
    said = {"includePlatforms": [], "defineConstraints": ["A || !UNITY_EDITOR"], "versionDefines": [
        {"name": "com.unity.render-pipelines.universal", "expression": "14.0.0", "define": "A"}]}
    assert assemblies.is_built(said, Cell("6000.0", "URP")) and not assemblies.is_built(said, Cell("6000.0", "HDRP"))
    assert assemblies.is_built(said, Cell("6000.0", "HDRP", editor=False))
