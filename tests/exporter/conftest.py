"""The avatars that engine tests share, each made once per run."""

from collections.abc import Callable

import pytest

from formats.avatar import Avatar
from tests.exporter import engine_avatars
from tests.exporter.engine_avatars import EngineCase


@pytest.fixture(scope="session")
def engine_avatar(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Avatar]:
    """Return a function from a name of `engine_avatars.AVATARS` to the avatar; `demo` trains it where no other test has."""
    made: dict[str, Avatar] = {}

    def get(name: str) -> Avatar:
        if name not in made:
            made[name] = {
                "demo": lambda: engine_avatars.demo_avatar(request.getfixturevalue("demo")),
                "gaussian-avatars": lambda: engine_avatars.gaussian_avatars_avatar(tmp_path_factory.mktemp("theirs")),
                "lam": lambda: engine_avatars.lam_avatar(request.getfixturevalue("lam_zip"))}[name]()
        return made[name]

    return get


@pytest.fixture(scope="session")
def engine_case(engine_avatar: Callable[[str], Avatar],
                tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], EngineCase]:
    """Return a function from the names of an avatar and a grade to the GLB and the truth about it."""
    made: dict[tuple[str, str], EngineCase] = {}

    def get(name: str, grade: str) -> EngineCase:
        if (name, grade) not in made:
            made[name, grade] = engine_avatars.make_case(name, grade, engine_avatar(name), tmp_path_factory.mktemp("engines"))
        return made[name, grade]

    return get
