"""What every test may ask for."""

import os
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Where the LAM sample avatar lies beside the repository, when FLAMEPORT_DATA does not say."""


@pytest.fixture(scope="session")
def lam_zip() -> Path:
    """Return the path of the LAM sample avatar; the test is skipped where it is absent."""
    path = Path(os.environ.get("FLAMEPORT_DATA") or DATA) / "lam_p2-1.zip"
    if not path.is_file():
        pytest.skip(f"the LAM sample avatar is not there: {path.name} in FLAMEPORT_DATA or ../shared/data")
    return path
