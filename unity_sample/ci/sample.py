"""The package's sample and the project around it: the stand-in as an avatar, a clip, and the scenes that show them.

    python unity_sample/ci/sample.py          writes Samples~/BasicAvatar and Project/Assets/Scenes

Everything shown is flameport's own stand-in. Scenes are text that names scripts, and what importers make, by number (`unity_ids.py`).
"""

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from exporter.targets import unity  # noqa: E402
from formats.avatar import Avatar  # noqa: E402
from formats.codecs import sequence_json  # noqa: E402
from formats.standin.avatar import standin_avatar  # noqa: E402
from formats.standin.clip import standin_clip  # noqa: E402
from formats.uv_maps import UVMaps  # noqa: E402
from unity_sample.ci import meta  # noqa: E402
from unity_sample.ci.unity_ids import SCRIPT, imported  # noqa: E402

PACKAGE = meta.PACKAGES / "com.flameport.avatar"
SAMPLE = PACKAGE / "Samples~" / "BasicAvatar"
ASSETS = meta.PROJECT / "Assets"
GAUSSIANS, ALBEDO = 25_000, 256
"""Of the sample: a face that holds up on a whole screen, and its texture in pixels each way, in less than 2 MB."""
CLIP = "smile"
"""Range of the stand-in's clip that is stored as a clip of its own."""

SETTINGS = """%YAML 1.1
%TAG !u! tag:unity3d.com,2011:
--- !u!29 &1
OcclusionCullingSettings:
  m_ObjectHideFlags: 0
  serializedVersion: 2
--- !u!104 &2
RenderSettings:
  m_ObjectHideFlags: 0
  serializedVersion: 9
  m_Fog: 0
  m_AmbientMode: 3
--- !u!157 &3
LightmapSettings:
  m_ObjectHideFlags: 0
  serializedVersion: 12
--- !u!196 &4
NavMeshSettings:
  serializedVersion: 2
  m_ObjectHideFlags: 0
"""
COMPONENT = "  m_ObjectHideFlags: 0\n  m_CorrespondingSourceObject: {fileID: 0}\n  m_PrefabInstance: {fileID: 0}\n" \
            "  m_PrefabAsset: {fileID: 0}\n"


class Scene:
    """A scene's text, as objects are added."""

    def __init__(self) -> None:
        self.text = SETTINGS
        self.roots: list[int] = []

    def add(self, name: str, position: tuple[float, float, float], yaw: int, components: list[tuple[int, str, str]]) -> None:
        """Add an object with components: the number of the class, its name, and its own fields as text."""
        number = 1000 * (len(self.roots) + 1)
        transform = number + 1
        numbers = [transform, *range(number + 2, number + 2 + len(components))]
        listed = "".join(f"  - component: {{fileID: {each}}}\n" for each in numbers)
        self.text += (f"--- !u!1 &{number}\nGameObject:\n{COMPONENT}  serializedVersion: 6\n  m_Component:\n{listed}"
                      f"  m_Layer: 0\n  m_Name: {name}\n  m_TagString: {'MainCamera' if 'Camera' in name else 'Untagged'}\n"
                      "  m_Icon: {fileID: 0}\n  m_NavMeshLayer: 0\n  m_StaticEditorFlags: 0\n  m_IsActive: 1\n")
        x, y, z = position
        turn = {0: "{x: 0, y: 0, z: 0, w: 1}", 180: "{x: 0, y: 1, z: 0, w: 0}"}[yaw]
        self.text += (f"--- !u!4 &{transform}\nTransform:\n{COMPONENT}  m_GameObject: {{fileID: {number}}}\n"
                      f"  serializedVersion: 2\n  m_LocalRotation: {turn}\n  m_LocalPosition: {{x: {x}, y: {y}, z: {z}}}\n"
                      "  m_LocalScale: {x: 1, y: 1, z: 1}\n  m_ConstrainProportionsScale: 0\n  m_Children: []\n"
                      "  m_Father: {fileID: 0}\n  m_LocalEulerAnglesHint: {x: 0, y: " f"{yaw}, z: 0}}\n")
        for each, (kind, title, fields) in zip(numbers[1:], components, strict=True):
            self.text += (f"--- !u!{kind} &{each}\n{title}:\n{COMPONENT}  m_GameObject: {{fileID: {number}}}\n  m_Enabled: 1\n"
                          f"{fields}")
        self.roots.append(transform)

    def finished(self) -> str:
        """Return the file's text."""
        listed = "".join(f"  - {{fileID: {each}}}\n" for each in self.roots)
        return f"{self.text}--- !u!1660057539 &9223372036854775807\nSceneRoots:\n  m_ObjectHideFlags: 0\n  m_Roots:\n{listed}"


def camera() -> tuple[int, str, str]:
    """Return a camera on a light ground."""
    return 20, "Camera", (
        "  serializedVersion: 2\n  m_ClearFlags: 2\n  m_BackGroundColor: {r: 0.9, g: 0.91, b: 0.93, a: 1}\n"
        "  m_projectionMatrixMode: 1\n  m_NormalizedViewPortRect:\n    serializedVersion: 2\n    x: 0\n    y: 0\n    width: 1\n"
        "    height: 1\n  near clip plane: 0.05\n  far clip plane: 100\n  field of view: 30\n  orthographic: 0\n"
        "  orthographic size: 5\n  m_Depth: -1\n  m_CullingMask:\n    serializedVersion: 2\n    m_Bits: 4294967295\n"
        "  m_RenderingPath: -1\n  m_TargetTexture: {fileID: 0}\n  m_TargetDisplay: 0\n  m_TargetEye: 3\n  m_HDR: 1\n"
        "  m_AllowMSAA: 0\n  m_AllowDynamicResolution: 0\n  m_ForceIntoRT: 0\n  m_OcclusionCulling: 1\n")


def script(path: Path, fields: Mapping[str, object]) -> tuple[int, str, str]:
    """Return a component that is a script, with its fields."""
    said = "".join(f"  {name}: {value}\n" for name, value in fields.items())
    return 114, "MonoBehaviour", (f"  m_EditorHideFlags: 0\n  m_Script: {{fileID: {SCRIPT}, guid: {meta.guid_of(PACKAGE, path)}, "
                                  f"type: 3}}\n  m_Name: \n  m_EditorClassIdentifier: \n{said}")


def reference(path: Path, identifier: str) -> str:
    """Return how a scene names a scriptable object that an importer makes of a file."""
    return f"{{fileID: {imported('MonoBehaviour', identifier)}, guid: {meta.guid_of(PACKAGE, path)}, type: 3}}"


def player(clip: bool, idle: bool, seed: int) -> tuple[int, str, str]:
    """Return a player of the sample's avatar, with the clip of its own or the one beside it."""
    return script(PACKAGE / "Runtime" / "AvatarPlayer.cs", {
        "avatar": reference(SAMPLE / "BasicAvatar.flameavatar", "avatar"),
        "clip": reference(SAMPLE / "Smile.flameseq", "clip") if clip else "{fileID: 0}", "clipText": "{fileID: 0}",
        "playOnAwake": 1, "loop": 1, "speed": 1, "idle": int(idle), "idleSeed": seed, "quality": 0, "shortKeys": 0,
        "showHead": 0, "mostOnProcessor": 20000})


def sample_scene() -> str:
    """Return the sample's scene: one avatar with sliders, one that code drives, a camera to turn."""
    scene = Scene()
    scene.add("Main Camera", (0, 0, 0.95), 180, [camera(), script(SAMPLE / "OrbitCamera.cs", {
        "middle": "{x: 0, y: 0, z: 0}", "distance": 0.95, "yaw": 180, "pitch": 0})])
    scene.add("Avatar with sliders", (-0.15, 0, 0), 0, [player(False, False, 1), script(SAMPLE / "ExpressionSliders.cs", {})])
    scene.add("Avatar driven by code", (0.15, 0, -0.08), 0, [player(True, True, 2), script(SAMPLE / "ArkitDriver.cs",
                                                                                           {"amount": 1})])
    return scene.finished()


def project_scene() -> str:
    """Return the project's scene: the avatar playing its clip."""
    scene = Scene()
    scene.add("Main Camera", (0, 0, 0.75), 180, [camera()])
    scene.add("Avatar", (0, 0, 0), 0, [player(False, False, 1)])
    return scene.finished()


def avatar() -> Avatar:
    """Return the sample's avatar."""
    whole = standin_avatar(GAUSSIANS)
    assert whole.maps is not None
    pixels = np.round(whole.maps.images["albedo"][..., :3] * 255).astype(np.uint8)
    small = np.asarray(Image.fromarray(pixels).resize((ALBEDO, ALBEDO), Image.Resampling.LANCZOS), np.float32) / 255
    return dataclasses.replace(whole, maps=UVMaps({"albedo": small}, None))


def scenes() -> dict[Path, str]:
    """Return the scenes' texts by file."""
    return {SAMPLE / "BasicAvatar.unity": sample_scene(), ASSETS / "Scenes" / "Avatar.unity": project_scene()}


def write_clip(path: Path) -> None:
    """Write the clip that plays beside the avatar's own."""
    clip = standin_clip(standin_avatar(GAUSSIANS).head)
    first, end = clip.ranges[CLIP]
    sequence_json.write(dataclasses.replace(clip.take(list(range(first, end))), ranges={}), path)


if __name__ == "__main__":
    for out, text in scenes().items():
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8", newline="\n")
    unity.write(avatar(), SAMPLE / "BasicAvatar.flameavatar", unity.Options(grade="small", keep_arkit=True))
    write_clip(SAMPLE / "Smile.flameseq")
