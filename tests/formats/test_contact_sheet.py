"""Pictures side by side."""

import numpy as np
import pytest

from formats.contact_sheet import FONT, GAP, LINE, PAPER, contact_sheet, difference
from formats.errors import CheckpointMismatch


def plain(color: int, height: int = 16, width: int = 16) -> np.ndarray:
    return np.full((height, width, 3), color, np.uint8)


def test_tiles_stand_where_they_belong() -> None:
    sheet = contact_sheet([[plain(10), plain(20)], [plain(30), None]], tile=32)
    assert sheet.dtype == np.uint8 and sheet.shape == (2 * (32 + GAP) + GAP, 2 * (32 + GAP) + GAP, 3)
    for row, column, color in ((0, 0, 10), (0, 1, 20), (1, 0, 30)):
        tile = sheet[GAP + row * (32 + GAP):, GAP + column * (32 + GAP):][:32, :32]
        assert (tile == color).all()
    assert (sheet[GAP + 32 + GAP:, GAP + 32 + GAP:] == PAPER).all()


def test_words_are_written_above_and_below_and_nowhere_else() -> None:
    bare = contact_sheet([[plain(200), plain(200)]], tile=96)
    sheet = contact_sheet([[plain(200), plain(200)]], ("target", "model"), [("frame 7", "31.20 dB")], tile=96)
    assert sheet.shape == (bare.shape[0] + 2 * LINE, bare.shape[1], 3)
    top, middle, bottom = sheet[:GAP + LINE], sheet[GAP + LINE:GAP + LINE + 96], sheet[GAP + LINE + 96:]
    for strip in (top, bottom):
        for half in (strip[:, :GAP + 96], strip[:, GAP + 96 + GAP:]):
            ink = (half.min(axis=2) < 120).sum()
            assert 15 < ink < 96 * FONT
    assert set(np.unique(middle)) == {200, PAPER[0]}
    # What is too long is cut and does not run into the neighbour.
    long = contact_sheet([[plain(200), plain(200)]], ("w" * 200, ""), tile=96)
    assert (long[:GAP + LINE, GAP + 96 + 1:] == PAPER).all()
    contact_sheet([[plain(200)]], ("\N{WHITE SMILING FACE} \N{LATIN SMALL LETTER E WITH ACUTE}",), ["one for the row"])


def test_pictures_are_scaled_to_the_tile() -> None:
    sheet = contact_sheet([[plain(10, 64, 128), plain(90, 8, 8)]], tile=64)
    assert (sheet[GAP:GAP + 64, 2 * GAP + 64:2 * GAP + 128] == 90).all()
    assert (sheet[GAP + 16:GAP + 48, GAP:GAP + 64] == 10).all() and (sheet[GAP:GAP + 16, GAP:GAP + 64] == PAPER).all()


def test_difference_is_multiplied_and_clipped() -> None:
    a, b = plain(100), plain(90)
    assert (difference(a, b, 4) == 40).all() and (difference(b, a, 4) == 40).all() and (difference(a, b, 99) == 255).all()
    with pytest.raises(CheckpointMismatch, match="draw both with the same camera"):
        difference(a, plain(0, 8, 8))


@pytest.mark.parametrize("options", [{"rows": []}, {"rows": [[None]]}, {"rows": [[plain(1)]], "columns": ("a", "b")},
                                     {"rows": [[plain(1)]], "captions": ["a", "b"]},
                                     {"rows": [[plain(1)]], "captions": [("a", "b")]}])
def test_what_does_not_fit_is_refused(options: dict) -> None:
    with pytest.raises(CheckpointMismatch, match="contact sheet"):
        contact_sheet(**options)
