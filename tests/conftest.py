"""What every test may ask for: the real inputs, and leave to take long."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("FLAMEPORT_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --run-long."""
    parser.addoption("--run-long", action="store_true", help="also run soaks and full-size checks (scripts/test --long)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what is marked `long` unless asked for."""
    if not config.getoption("--run-long"):
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="long; scripts/test --long runs it"))


@pytest.fixture(scope="session")
def lam_zip() -> Path:
    """The LAM sample avatar, or a skip that says where it was looked for."""
    path = DATA / "lam_p2-1.zip"
    if not path.is_file():
        pytest.skip(f"{path}: the LAM sample avatar is not here; set FLAMEPORT_DATA to the folder that holds it")
    return path


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `flameport demo` leaves: films, trains, bakes and exports, some minutes on two cores, once for all tests.

    FLAMEPORT_DEMO names a folder to keep it in, and to take it from when it is there.
    """
    pytest.importorskip("torch")
    import flameport
    import web_viewer
    from formats.errors import MissingAsset

    try:
        web_viewer.dist_folder()
    except MissingAsset as error:
        pytest.skip(str(error))
    kept = os.environ.get("FLAMEPORT_DEMO")
    out = Path(kept) if kept else tmp_path_factory.mktemp("demo") / "out"
    assert flameport.main(["demo", "--out", str(out), "--no-open"]) == 0
    return out
