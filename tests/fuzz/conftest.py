"""The marker of the tests here."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker."""
    config.addinivalue_line("markers", "fuzz: feeds readers made-up files for about 90 seconds; scripts/fuzz does it longer")
