"""The Unity package compiled as Unity would: each assembly by its own asmdef, for engine versions and pipelines.

One process compiles everything (`dotnet/Compiler.cs`); what comes out the same for two cells is compiled once. The stand-ins are
ours, written from Unity's public reference; what they cannot show is in unity_sample/README.md.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

try:
    import dotnet_tools  # pyright: ignore[reportMissingImports]
except ImportError:
    from unity_sample.ci import dotnet_tools

CI = Path(__file__).parent
PACKAGE = CI.parent / "Packages" / "com.flameport.avatar"
STANDINS = {"UnityEngine": ("UnityEngine", "Headless"), "UnityEditor": ("UnityEditor",),
            "UnityEngine.TestRunner": ("TestRunner",), "UnityEditor.TestRunner": (),
            "Unity.RenderPipelines.Core.Runtime": ("Core.Runtime",),
            "Unity.RenderPipelines.Universal.Runtime": ("Universal.Runtime",),
            "Unity.RenderPipelines.HighDefinition.Runtime": ("HighDefinition.Runtime",),
            "Unity.InferenceEngine": ("Inference",), "Unity.Sentis": ("Inference",)}
"""Folders of standins/ by assembly."""
PACKAGES = {"Unity.RenderPipelines.Core.Runtime": "com.unity.render-pipelines.core",
            "Unity.RenderPipelines.Universal.Runtime": "com.unity.render-pipelines.universal",
            "Unity.RenderPipelines.HighDefinition.Runtime": "com.unity.render-pipelines.high-definition",
            "Unity.InferenceEngine": "com.unity.ai.inference", "Unity.Sentis": "com.unity.sentis"}
"""Packages that bring an assembly; the others are the engine's."""


@dataclass(frozen=True)
class Cell:
    """A project that could hold the package."""

    unity: str
    """`2022.3` or `6000.0`."""
    pipeline: str
    """`built-in`, `URP` or `HDRP`."""
    inference: bool = False
    editor: bool = True
    """Compiled for the editor; else for a player, which has no UnityEditor."""

    @property
    def name(self) -> str:
        """Return a name for people."""
        return f"{self.unity} {self.pipeline}{' inference' if self.inference else ''} {'editor' if self.editor else 'player'}"

    @property
    def packages(self) -> dict[str, str]:
        """Return versions of the packages in the project."""
        major = "17.0.3" if self.unity == "6000.0" else "14.0.11"
        found = {}
        if self.pipeline == "URP":
            found["com.unity.render-pipelines.universal"] = major
        if self.pipeline == "HDRP":
            found["com.unity.render-pipelines.high-definition"] = major
        if found:
            found["com.unity.render-pipelines.core"] = major
        if self.inference:
            # The first runs in Unity 6 only.
            found |= {"com.unity.ai.inference": "2.2.1"} if self.unity == "6000.0" else {"com.unity.sentis": "2.1.1"}
        return found

    @property
    def defines(self) -> list[str]:
        """Return the symbols that Unity defines."""
        symbols = ["UNITY_2022_3_OR_NEWER", "UNITY_2021_2_OR_NEWER"]
        symbols += ["UNITY_6000_0_OR_NEWER", "UNITY_2023_1_OR_NEWER"] if self.unity == "6000.0" else ["UNITY_2022_3"]
        return symbols + (["UNITY_EDITOR", "UNITY_INCLUDE_TESTS"] if self.editor else ["UNITY_STANDALONE"])


CELLS = [Cell(unity, pipeline, inference, editor) for unity in ("2022.3", "6000.0") for pipeline in ("built-in", "URP", "HDRP")
         for inference in ((False, True) if pipeline == "built-in" else (False,)) for editor in (True, False)]


@dataclass
class Unit:
    """One assembly of one cell; equal ones are compiled once."""

    name: str
    sources: list[Path]
    defines: list[str] = field(default_factory=list)
    uses: list[str] = field(default_factory=list)
    references: list[Path] = field(default_factory=list)
    nullable: bool = False
    program: bool = False
    outs: list[Path] = field(default_factory=list)
    """Folders that it is written into."""


def asmdefs(folder: Path = PACKAGE) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Return the assembly definitions below a folder, by name."""
    found = {}
    for path in sorted(folder.rglob("*.asmdef")):
        said = json.loads(path.read_text())
        found[said["name"]] = path, said
    return found


def sources_of(asmdef: Path) -> list[Path]:
    """Return the files that belong to an assembly: those below it that are below no other."""
    return [path for path in sorted(asmdef.parent.rglob("*.cs"))
            if next(folder for folder in path.parents if any(folder.glob("*.asmdef"))) == asmdef.parent]


def wanted(expression: str, version: str) -> bool:
    """Tell whether a package's version meets the expression of a versionDefine: `` (any), `1.2` (at least), or a range."""
    def number(text: str) -> tuple[int, ...]:
        return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
    if not expression:
        return True
    if expression[0] not in "[(":
        return number(version) >= number(expression)
    low, _, high = expression[1:-1].partition(",")
    if low and not (number(version) >= number(low) if expression[0] == "[" else number(version) > number(low)):
        return False
    return not high or (number(version) <= number(high) if expression[-1] == "]" else number(version) < number(high))


def symbols_of(said: dict[str, Any], cell: Cell) -> list[str]:
    """Return the symbols that an assembly is compiled with."""
    symbols = list(cell.defines)
    for rule in said.get("versionDefines", []):
        version = cell.packages.get(rule["name"])
        if rule["name"] == "Unity":
            version = cell.unity + ".0"
        if version and wanted(rule["expression"], version):
            symbols.append(rule["define"])
    return symbols


def is_built(said: dict[str, Any], cell: Cell) -> bool:
    """Tell whether Unity compiles an assembly in this project at all."""
    if said["includePlatforms"] and "Editor" in said["includePlatforms"] and not cell.editor:
        return False
    symbols = symbols_of(said, cell)
    for rule in said["defineConstraints"]:
        options = [part.strip() for part in rule.split("||")]
        if not any(part.lstrip("!") in symbols if not part.startswith("!") else part[1:] not in symbols for part in options):
            return False
    return True


class Plan:
    """What to compile, and how it hangs together."""

    def __init__(self, package: Path = PACKAGE) -> None:
        self.units: dict[str, Unit] = {}
        """By key."""
        self.found = asmdefs(package)
        self.cells: dict[tuple[Cell, str], str] = {}
        """Keys of the package's assemblies by cell and name."""
        self.problems: list[str] = []
        self._text: dict[Path, str] = {}
        self._known: dict[str, str] = {}

    def add(self, unit: Unit) -> str:
        """Add an assembly unless an equal one is there; symbols that its sources do not name make no difference."""
        for path in unit.sources:
            if path not in self._text:
                self._text[path] = path.read_text(encoding="utf-8")
        named = set()
        for path in unit.sources:
            named |= set(re.findall(r"\w+", " ".join(re.findall(r"^\s*#(?:el)?if (.*)$", self._text[path], re.MULTILINE))))
        unit.defines = sorted(set(unit.defines) & named)
        same = json.dumps([unit.name, list(map(str, unit.sources)), unit.defines, sorted(unit.uses),
                           list(map(str, unit.references)), unit.nullable, unit.program])
        if same in self._known:
            return self._known[same]
        key = self._known[same] = f"{unit.name}@{len(self.units)}"
        self.units[key] = unit
        return key

    def standin(self, name: str, cell: Cell) -> str:
        """Add the stand-in of an assembly."""
        folders = STANDINS[name]
        uses = {"UnityEngine": [], "UnityEditor": ["UnityEngine"],
                "Unity.RenderPipelines.Universal.Runtime": ["UnityEngine", "Unity.RenderPipelines.Core.Runtime"],
                "Unity.RenderPipelines.HighDefinition.Runtime": ["UnityEngine", "Unity.RenderPipelines.Core.Runtime"]}
        sources = [path for folder in folders for path in sorted((CI / "standins" / folder).glob("*.cs"))]
        symbols = [*cell.defines, *(["STANDIN_SENTIS"] if name == "Unity.Sentis" else [])]
        return self.add(Unit(name, sources, symbols, [self.standin(other, cell) for other in uses.get(name, ["UnityEngine"])]))

    def assembly(self, name: str, cell: Cell) -> str:
        """Add an assembly of the package for a cell."""
        if (cell, name) in self.cells:
            return self.cells[cell, name]
        path, said = self.found[name]
        rsp = path.parent / "csc.rsp"
        options = rsp.read_text().split() if rsp.is_file() else []
        uses, references = [], []
        if not said["noEngineReferences"]:
            uses.append(self.standin("UnityEngine", cell))
            if cell.editor:
                uses.append(self.standin("UnityEditor", cell))
        for other in said["references"]:
            if other in self.found:
                if is_built(self.found[other][1], cell):
                    uses.append(self.assembly(other, cell))
            elif other not in STANDINS:
                self.problems.append(f"{name}: refers to {other}, which is neither ours nor a stand-in")
            elif PACKAGES.get(other) is None or PACKAGES[other] in cell.packages:
                # What a project lacks is left out, as in Unity.
                uses.append(self.standin(other, cell))
        if "nunit.framework.dll" in said["precompiledReferences"]:
            references.append(dotnet_tools.FOLDER / "nunit.framework.dll")
        unit = Unit(name, sources_of(path), symbols_of(said, cell), uses, references, "-nullable:enable" in options)
        self.cells[cell, name] = self.add(unit)
        return self.cells[cell, name]

    def fill(self, cells: Iterable[Cell] = tuple(CELLS)) -> "Plan":
        """Add everything that Unity would compile in these cells, and the samples as a project's own scripts."""
        for cell in cells:
            for name, (_, said) in self.found.items():
                if is_built(said, cell):
                    self.assembly(name, cell)
        return self

    def loose(self, name: str, sources: list[Path], cell: Cell, nullable: bool = False, program: bool = False) -> str:
        """Add a project's own scripts, which see every assembly that is autoReferenced; or a program that runs them."""
        uses = [self.standin("UnityEngine", cell), *([self.standin("UnityEditor", cell)] if cell.editor else [])]
        uses += [self.assembly(other, cell) for other, (_, said) in self.found.items()
                 if said["autoReferenced"] and is_built(said, cell) and "Tests" not in other]
        key = self.add(Unit(name, sources, list(cell.defines), uses, nullable=nullable, program=program))
        self.cells[cell, name] = key
        return key

    def write_to(self, key: str, folder: Path) -> None:
        """Have a unit and everything that it stands on written into a folder."""
        if folder not in self.units[key].outs:
            self.units[key].outs.append(folder)
            for use in self.units[key].uses:
                self.write_to(use, folder)

    def text(self) -> str:
        """Return the plan as the compiler reads it."""
        profile = dotnet_tools.FOLDER / dotnet_tools.PROFILE
        lines = []
        for key, unit in self.units.items():
            lines += [f"unit {key}", f"nullable {'enable' if unit.nullable else 'disable'}",
                      *(["program yes"] if unit.program else []), *(f"define {name}" for name in unit.defines),
                      *(f"source {path}" for path in unit.sources),
                      *(f"reference {profile / name}.dll" for name in ("netstandard", "mscorlib")),
                      *(f"reference {path}" for path in unit.references), *(f"uses {name}" for name in unit.uses),
                      *(f"out {folder / unit.name}.dll" for folder in unit.outs)]
        return "\n".join(lines) + "\n"


def build_compiler(folder: Path) -> Path:
    """Compile the compiler's driver into `folder` and return it.

    Raises:
        dotnet_tools.ToolMissing: There is no compiler.
        AssertionError: It does not compile.
    """
    program = folder / "Compiler.dll"
    said = dotnet_tools.compile_cs([CI / "dotnet" / "Compiler.cs"], program, program=True, framework=True)
    assert not said, said
    return program


def compile_plan(plan: Plan, compiler: Path, work: Path) -> dict[str, list[str]]:
    """Compile a plan, with its file in the folder `work`, by what `build_compiler` made; return the errors by unit."""
    path = work / "plan.txt"
    path.write_text(plan.text())
    said = dotnet_tools.run_program(compiler, str(dotnet_tools.FOLDER / dotnet_tools.ROSLYN), str(path),
                                    LD_LIBRARY_PATH=str(dotnet_tools.FOLDER / "openssl"))
    for unit in plan.units.values():
        for folder in unit.outs:
            if unit.program:
                dotnet_tools.make_runnable(folder / f"{unit.name}.dll")
    errors: dict[str, list[str]] = {}
    for line in said.splitlines():
        key, _, message = line.partition("\t")
        errors.setdefault(key, []).append(message)
    return errors
