"""BakedAvatar: shells of textured mesh around a FLAME head, shaded by a small network per pixel.

Read are `mesh_data.pkl` (of -t texture_export or -t fine_tuning) and the web demo's `mesh_data/` folder; FLAME's tables are in
both, four times life size like everything else. Duan et al., "BakedAvatar: Baking Neural Fields for Real-Time Head Avatar
Synthesis", ACM TOG 42(6), 2023; facts of the files: its released code, executed (arithmetic of its Python renderer).

What the files leave to the reader:

- FLAME's triangles are not in them. They come from `head`; without one a small hidden one stands for them.
- The first of six bones is a ghost that never moves: weights of the other five then sum to less than 1.
- Layers go from the innermost out. The first is drawn opaque: the alpha that the original stores for it is stale.
- All bases of a layer share one alpha. Row 0 of an image is v = 0, as ours.

Where the web demo differs from the Python renderer that the avatar was trained with: it reads pose correctives 4 to 11 at
other entries of the pose and leaves 12 to 35 out (its shader steps by texels), which `as_original` reproduces; and it plays
clips at 80 % of their size, which is the player's doing and is not.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from formats.avatar import Avatar, BasisMix, MeshLayer, Meta, Network, SkinBinding
from formats.codecs import baked_sequence, flame_params
from formats.errors import CheckpointMismatch, FormatError, MissingAsset, naming
from formats.head_model import ARKIT_TAIL, HeadModel
from formats.importers import side_files
from formats.importers.baked_files import GLOBAL_MLP, BakedFiles, read_folder, read_pickle
from formats.importers.carrier_triangle import carrier
from formats.onnx_graph import OnnxGraph
from formats.sequence import Sequence

LOG = logging.getLogger(__name__)
PAPER = ("Duan et al., BakedAvatar: Baking Neural Fields for Real-Time Head Avatar Synthesis, ACM TOG 42(6), 2023, "
         "arXiv:2311.05521")
LICENSE = ("BakedAvatar's code is under an MIT-style licence (2024 Beihang University); check the consent of the person shown "
           "before you publish.")
SIDES = {"sequence": "sequence_data folder, its flame_sequences.npy, or a flame_params.json"}
UNIT = np.float32(0.25)
"""Metres per unit of the files."""
EXPRESSIONS, CORRECTIVES, JOINTS = 50, 36, 5
PARENTS = (-1, 0, 1, 1, 1)
NECK = 1
"""The joint that all but the neck's lower end hangs on."""
NETWORK = "shading"
INPUTS = {"jaw": 3, "eyes": 6, "expr": EXPRESSIONS}
"""What the network reads, in its order."""
TABLE_TOLERANCE = 1e-5
"""Metres; tables of one edition are the same to rounding, those of two differ by millimetres."""
DEMO_READS = {0: range(0, 4), 4: range(16, 20), 8: range(32, 36)}
"""First corrective of four, and the entries of the pose that the web demo multiplies them by."""


def read(path: Path, head: HeadModel | None = None, sides: Mapping[str, Path] | None = None, *, as_original: bool = False,
         edition: str = "flame2020") -> Avatar:
    """Return the avatar in BakedAvatar's files.

    Args:
        path: `mesh_data.pkl`, the web demo's `mesh_data/`, the folder either is in, or a run's folder.
        head: FLAME's, for its triangles, texture coordinates and landmarks; the person is in the files.
        sides: `sequence`; a `sequence_data/` beside the files, or beside the folder they are in, is found.
        as_original: Add pose correctives as the web demo does, see above.
        edition: What the data were tracked with, if not with FLAME 2020.

    Raises:
        MissingAsset: A file is not there, or the textures were not baked yet.
        FormatError: A file is damaged.
        CheckpointMismatch: The head is another one.
        UnsupportedFeature: It is a checkpoint of training.
    """
    path, given = Path(path), {name: Path(side) for name, side in (sides or {}).items()}
    side_files.check_names(path, given, SIDES)
    place = located(path)
    files = read_folder(place) if place.is_dir() else read_pickle(place)
    with naming(place):
        model = _head(files, head, edition)
        network, hidden = shading_network(files)
        layers = tuple(_layer(files, i, hidden, as_original) for i in range(files.layers))
        return Avatar(head=model, layers=layers, networks={NETWORK: network}, sequence=_sequence(place, given, edition),
                      meta=Meta(name=_name(place), system="baked-avatar", source=place.name, paper=PAPER,
                                license_notices=(LICENSE,)))


def located(path: Path) -> Path:
    """Return the `mesh_data.pkl`, or the folder with the web demo's `metadata.json`, that `path` means.

    Raises:
        MissingAsset: There is none.
    """
    if not path.is_dir():
        return path.parent if path.name == "metadata.json" else path
    for folder in (path, path / "mesh_data"):
        if (folder / "metadata.json").is_file():
            return folder
    if (path / "mesh_data.pkl").is_file():
        return path / "mesh_data.pkl"
    for pattern in ("finetune_mesh_data/iter_*/mesh_data.pkl", "mesh_export/iter_*/**/mesh_data.pkl"):
        found = sorted(path.glob(pattern), key=lambda file: (_iteration(file.relative_to(path).parts[1]), str(file)))
        if found:
            LOG.info("%s: takes %s, the newest of %d", path, found[-1].relative_to(path), len(found))
            return found[-1]
    raise MissingAsset(f"{path}: holds no mesh_data.pkl and no metadata.json, also not where BakedAvatar's runs "
                       "(finetune_mesh_data/iter_N/, mesh_export/iter_N/.../) and its web demo (mesh_data/) keep them")


def _iteration(name: str) -> int:
    number = name.removeprefix("iter_")
    return int(number) if number.isdecimal() else -1


def _name(place: Path) -> str:
    """Return the name of the run, or of what holds the web demo's folder."""
    parts = place.resolve().parts
    for folder in ("finetune_mesh_data", "mesh_export"):
        if folder in parts[1:] and parts.index(folder) > 1:
            return parts[parts.index(folder) - 1]
    return place.resolve().parent.name or "avatar"


# --- Head -------------------------------------------------------------------------------------------------------------


def _head(files: BakedFiles, head: HeadModel | None, edition: str) -> HeadModel:
    v_template = UNIT * files.array("common", "v_template", (None, 3)).astype(np.float32)
    count = len(v_template)
    tables = {
        "exprdirs": UNIT * files.array("common", "shapedirs", (count, 3, EXPRESSIONS)).astype(np.float32),
        "posedirs": (UNIT * files.array("common", "posedirs", (CORRECTIVES, 3 * count)).astype(np.float32)).reshape(
            CORRECTIVES, count, 3).transpose(1, 2, 0),
        "lbs_weights": files.array("common", "lbs_weights", (count, JOINTS)),
        "J_regressor": files.array("common", "J_regressor", (JOINTS, count))}
    parents = files.array("common", "parents", (JOINTS,))
    if tuple(parents.tolist()) != PARENTS:
        raise FormatError(f"{files.where}: common['parents']: expected FLAME's {list(PARENTS)}, got {parents.tolist()}")
    if head is None:
        LOG.warning("%s: FLAME's triangles are not in BakedAvatar's files; without --head one hidden triangle of 5 mm stands for "
                    "them. The layers are whole; what rides the head, or shows its mesh, needs --head", files.where)
        return _carried(edition, v_template, parents, tables)
    if head.edition != edition:
        raise CheckpointMismatch(f"{files.where}: tracked with '{edition}', the head is '{head.edition}'; pass the head of that "
                                 f"edition, or, if the data were tracked with this one, say so: --set edition={head.edition}")
    _check_head(files.where, head, tables)
    names = head.expr_names[:EXPRESSIONS]
    arkit_map = head.arkit_map
    if arkit_map is not None:
        arkit_map = np.concatenate([arkit_map[:, :EXPRESSIONS], arkit_map[:, -ARKIT_TAIL:]], axis=1)
    return HeadModel(edition, v_template, head.faces, parents=parents, expr_names=names, uvs=head.uvs, uv_faces=head.uv_faces,
                     regions=head.regions, landmarks=head.landmarks, arkit_map=arkit_map, content_hash=head.content_hash,
                     **tables)


def _carried(edition: str, v_template: np.ndarray, parents: np.ndarray, tables: Mapping[str, np.ndarray]) -> HeadModel:
    """Return a head whose only triangle is a carrier, three vertices after FLAME's, still in the head but for the neck."""
    triangle, face = carrier()

    def extended(name: str) -> np.ndarray:
        return np.concatenate([tables[name], np.zeros((3, *tables[name].shape[1:]), np.float32)])

    weights = extended("lbs_weights")
    weights[len(v_template):, NECK] = 1
    regressor = np.concatenate([tables["J_regressor"], np.zeros((JOINTS, 3), np.float32)], axis=1)
    return HeadModel(edition, np.concatenate([v_template, triangle]), face + len(v_template), extended("exprdirs"), weights,
                     parents, J_regressor=regressor, posedirs=extended("posedirs"))


def _check_head(where: str, head: HeadModel, tables: Mapping[str, np.ndarray]) -> None:
    """Raise `CheckpointMismatch` unless the head's tables are those of the file."""
    for name, mine in tables.items():
        theirs = getattr(head, name)
        if theirs is not None and name == "exprdirs":
            theirs = theirs[:, :, :EXPRESSIONS]
        if theirs is None or theirs.shape != mine.shape:
            raise CheckpointMismatch(f"{where}: the head's {name} is {'absent' if theirs is None else list(theirs.shape)}, the "
                                     f"file's {list(mine.shape)}; pass FLAME's own head, made with `flameport head`")
        away = float(np.abs(theirs.astype(np.float64) - mine).max())
        if away > TABLE_TOLERANCE:
            raise CheckpointMismatch(f"{where}: the head's {name} differs by up to {away:.2g} from the file's; it is of another "
                                     "edition or gender than the data were tracked with")


# --- Layers -----------------------------------------------------------------------------------------------------------


def _layer(files: BakedFiles, index: int, hidden: int, as_original: bool) -> MeshLayer:
    group = f"meshes[{index}]"
    vertices = files.array(group, "vertices", (None, 3)).astype(np.float32)
    count = len(vertices)
    exprdirs = files.array(group, "shapedirs", (count, EXPRESSIONS, 3)).astype(np.float32)
    posedirs = files.array(group, "posedirs", (count, CORRECTIVES, 3)).astype(np.float32)
    if as_original:
        posedirs = as_the_demo_reads(posedirs)
    uvs, uv_faces = files.uvs(index)
    maps = files.maps(index)
    if maps.alpha_spread and index:
        LOG.warning("%s: %s: the bases' alphas differ by up to %d of 255, which BakedAvatar itself never writes; the first "
                    "one's is taken", files.where, group, maps.alpha_spread)
    with naming(f"{files.where}: {group}"):
        binding = SkinBinding(exprdirs=UNIT * exprdirs.transpose(0, 2, 1), posedirs=UNIT * posedirs.transpose(0, 2, 1),
                              lbs_weights=_weights(files, group, count))
        mix = BasisMix(maps.bases, maps.alpha, maps.position_features, NETWORK, hidden, files.temperature, "view")
        return MeshLayer(UNIT * vertices, files.array(group, "normals", (count, 3)),
                         files.array(group, "faces", (len(uv_faces), 3)), uvs, uv_faces, binding, mix, opaque=index == 0,
                         name=f"layer{index}")


def _weights(files: BakedFiles, group: str, count: int) -> np.ndarray:
    weights = files.array(group, "lbs_weights", (count, None))
    ghost = weights.shape[1] == JOINTS + 1
    if weights.shape[1] not in (JOINTS, JOINTS + 1) or files.ghost not in (None, ghost):
        raise FormatError(f"{files.where}: {group}['lbs_weights']: {weights.shape[1]} bones and 'ghostbone' {files.ghost}; "
                          f"expected {JOINTS + 1} with a ghost, {JOINTS} without")
    return weights[:, ghost:]


def as_the_demo_reads(posedirs: np.ndarray) -> np.ndarray:
    """Return correctives [V, 36, C] at the entries of the pose where the web demo multiplies them; zero elsewhere."""
    moved = np.zeros_like(posedirs)
    for first, entries in DEMO_READS.items():
        moved[:, list(entries)] = posedirs[:, first:first + 4]
    return moved


def shading_network(files: BakedFiles) -> tuple[Network, int]:
    """Return the network from jaw, eyes and expression to `shading_weights`, and the hidden width of what they shade with.

    Three layers, PReLU per channel between them, nothing after the last. Its output is W1 [H, D + 6], then W2 [K, H], both
    row by row, so H is its length over D + 6 + K.

    Raises:
        FormatError: An array is missing, or sizes do not fit.
    """
    arrays = {name: files.array("global_mlp", name, (None, None) if name.endswith("weight") and name[:2] == "fc" else (None,))
              for name in GLOBAL_MLP}
    where, width, wanted = f"{files.where}: global_mlp", sum(INPUTS.values()), files.depth + 6 + files.bases
    for i in range(3):
        out, taken = arrays[f"fc{i}_weight"].shape
        slopes = out if i == 2 else len(arrays[f"act{i}_weight"])
        if taken != width or len(arrays[f"fc{i}_bias"]) != out or slopes not in (1, out):
            raise FormatError(f"{where}: layer {i} takes {taken} numbers and gives {out}; expected {width} in"
                              f"{' (jaw 3, eyes 6, expression 50)' * (i == 0)}, and as many biases and slopes as out")
        width = out
    if not width or width % wanted:
        raise FormatError(f"{where}: gives {width} numbers; expected a multiple of {wanted} for {files.depth} features and "
                          f"{files.bases} bases")
    graph = OnnxGraph()
    value = graph("Concat", *(graph.input(name, 1, size) for name, size in INPUTS.items()), axis=1)
    for i in range(3):
        value = graph.linear(value, arrays[f"fc{i}_weight"], arrays[f"fc{i}_bias"])
        if i < 2:
            value = graph("PRelu", value, arrays[f"act{i}_weight"])
    graph.output("shading_weights", value)
    return graph.network(), width // wanted


# --- Motion -----------------------------------------------------------------------------------------------------------


def _sequence(place: Path, sides: Mapping[str, Path], edition: str) -> Sequence | None:
    beside = [folder / "sequence_data" / baked_sequence.FRAMES_FILE for folder in side_files.ancestors(place, 2)]
    found = side_files.find(place, sides, "sequence", beside)
    if found is None:
        LOG.warning("%s: no sequence_data beside it; the avatar has no clip of its own (--side sequence= gives one)", place)
        return None
    return flame_params.read(found, edition) if found.suffix.lower() == ".json" else baked_sequence.read(found, edition)
