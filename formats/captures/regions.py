"""Which label of `shots.LABELS` each triangle of the stand-in shows."""

import numpy as np
from jaxtyping import Int32, UInt8

from formats.captures.shots import LABELS
from formats.head_model import HeadModel

# Later ones win.
ORDER = (("neck", "neck"), ("neck", "boundary"), ("nose", "nose"), ("left_brow", "left_brow"),
         ("right_brow", "right_brow"), ("left_ear", "left_ear"), ("right_ear", "right_ear"), ("upper_lip", "lips_upper"),
         ("lower_lip", "lips_lower"), ("mouth", "mouth_interior"), ("mouth", "teeth"), ("left_eye", "left_eyeball"),
         ("right_eye", "right_eyeball"))
"""Label, and the head's region that shows it."""


def face_labels(head: HeadModel) -> UInt8[np.ndarray, " F"]:
    """Return each triangle's label: the one that most of its corners have, skin where none is named."""
    of_vertex = np.full(len(head.v_template), LABELS.index("skin"), np.uint8)
    for label, region in ORDER:
        ids = head.regions.get(region)
        if ids is not None and ids.size:
            of_vertex[ids] = LABELS.index(label)
    corners = of_vertex[head.faces]
    # Two equal corners decide; of three different ones the first.
    return np.where(corners[:, 1] == corners[:, 2], corners[:, 1], corners[:, 0])


def sealed_faces(head: HeadModel) -> Int32[np.ndarray, "F 3"]:
    """Return the head's triangles and a strip that closes the mouth between its upper and lower lip."""
    loop = head.regions["lip_ring"]
    half = len(loop) // 2
    upper, lower = loop[:half + 1], np.append(loop[0], loop[:half - 1:-1])
    strip = [np.stack([upper[:-1], lower[:-1], lower[1:]], axis=1), np.stack([upper[:-1], lower[1:], upper[1:]], axis=1)]
    strip = np.concatenate(strip)
    whole = (strip[:, 0] != strip[:, 1]) & (strip[:, 1] != strip[:, 2]) & (strip[:, 0] != strip[:, 2])
    # Seen from either side: a mouth that is pressed shut may fold over.
    return np.concatenate([head.faces, strip[whole], strip[whole][:, ::-1]]).astype(np.int32)
