"""Reference pictures beside an exported page, and looking at the page from another machine."""

import json
import threading
import urllib.request

import numpy as np
import pytest

from exporter import references, serve
from formats.codecs import camera_json
from formats.errors import FormatError, MissingAsset
from formats.video import write_png
from tests.builders import tiny_camera


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "pictures"
    made.mkdir()
    for name in ("00003.png", "00012.png"):
        write_png(np.zeros((4, 4, 3), np.uint8), made / name)
    return made


def test_pictures_are_of_the_frames_that_their_names_say(folder, tmp_path):
    camera_json.write(tiny_camera(size=4), folder / "camera.json")
    written = references.copy(folder, tmp_path / "out")
    assert [path.name for path in written] == ["00003.png", "00012.png", "reference.json"]
    found = json.loads((tmp_path / "out" / "reference.json").read_text())
    assert found["format"] == "flameport.reference/1" and found["camera"]["width"] == tiny_camera(size=4).width
    assert found["pictures"] == [{"file": "00003.png", "frame": 3}, {"file": "00012.png", "frame": 12}]


def test_a_description_is_kept_as_it_is(folder, tmp_path):
    told = {"format": "flameport.reference/1", "background": [0, 0, 0], "pictures": [{"file": "00003.png", "frame": 0.5}]}
    (folder / "reference.json").write_text(json.dumps(told))
    references.copy(folder, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "reference.json").read_text()) == told
    assert not (tmp_path / "out" / "00012.png").exists()


@pytest.mark.parametrize(("file", "error"), [("../a.png", FormatError), ("/etc/a.png", FormatError), ("a.txt", FormatError),
                                             ("gone.png", MissingAsset)])
def test_a_description_stays_in_its_folder(folder, tmp_path, file, error):
    told = {"format": "flameport.reference/1", "pictures": [{"file": file, "frame": 0}]}
    (folder / "reference.json").write_text(json.dumps(told))
    with pytest.raises(error, match=r"pictures\[0\]"):
        references.copy(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_no_folder_of_pictures_is_refused(folder, tmp_path):
    with pytest.raises(MissingAsset, match="no such folder"):
        references.copy(tmp_path / "gone", tmp_path / "out")
    (folder / "face.png").write_bytes((folder / "00003.png").read_bytes())
    with pytest.raises(FormatError, match="00012.png"):
        references.copy(folder, tmp_path / "out")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_page_is_served_where_it_was_asked_to(tmp_path, host):
    (tmp_path / "index.html").write_text("here")
    with serve.server(tmp_path, 0, host) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{running.server_address[1]}/") as answer:
                assert answer.read() == b"here"
        finally:
            running.shutdown()
            thread.join()


def test_an_address_of_somebody_else_is_refused(tmp_path):
    (tmp_path / "index.html").write_text("here")
    with pytest.raises(MissingAsset, match="192.0.2.1"):
        serve.server(tmp_path, 0, "192.0.2.1")
