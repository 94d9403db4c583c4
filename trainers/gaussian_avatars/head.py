"""The head that GaussianAvatars ride: FLAME with teeth."""

import dataclasses
from typing import Any

from formats.errors import CheckpointMismatch
from formats.head_model import HeadModel
from formats.standin.head import VARIANTS, standin_head
from formats.teeth import BARE, WITH_TEETH, add_teeth


def head_of(config: Any, head: HeadModel) -> HeadModel:
    """Return the head to train on, before a person is put in: with teeth when `config.teeth`.

    FLAME's teeth are built on its mean lips; the stand-in head, whose vertices are others, brings its own.

    Raises:
        CheckpointMismatch: The head has neither FLAME's sizes nor teeth, or a person is in it already.
    """
    if not config.teeth or len(head.regions.get("teeth", ())) or len(head.v_template) == WITH_TEETH[0]:
        return head
    for variant in VARIANTS:
        bare = standin_head(variant) if head.edition == "standin" else None
        if bare is not None and bare.content_hash == head.content_hash:
            return dataclasses.replace(standin_head(variant, teeth=True), content_hash=head.content_hash)
    if head.edition == "standin" or (len(head.v_template), len(head.faces)) != BARE:
        raise CheckpointMismatch(f"teeth are known for FLAME's head and the stand-in; this '{head.edition}' head has "
                                 f"{len(head.v_template)} vertices and {len(head.faces)} faces: train with --set teeth=false")
    return add_teeth(head)
