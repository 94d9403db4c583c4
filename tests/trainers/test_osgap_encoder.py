"""OSGAP's encoder: its tensors, its arithmetic written out a second time, the picture it takes, and an avatar made with it."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from formats.avatar import SplatLayer
from formats.codecs import npz_file
from formats.deform import deform
from formats.errors import CheckpointMismatch, FormatError, MissingAsset, UnsupportedFeature
from formats.importers import osgap
from trainers.osgap import import_with_image

torch = pytest.importorskip("torch")
from torch.nn import functional  # noqa: E402

from tests.originals.osgap import write  # noqa: E402
from tests.originals.posed import Original  # noqa: E402
from trainers.osgap.encode import encode, load, maps_of, portrait  # noqa: E402
from trainers.osgap.encoder import Encoder  # noqa: E402

State = Mapping[str, Any]


@pytest.fixture(scope="module", autouse=True)
def few_threads() -> Iterator[None]:
    """Two at most, so that the times here are those of a small machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, 2))
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def network() -> Encoder:
    torch.manual_seed(5)
    made = Encoder().eval()
    with torch.no_grad():
        for name, value in made.named_parameters():
            if name.endswith("bias") or ".norm" in name:
                value += 0.1 * torch.randn_like(value)  # biases and norms that matter
    return made


@pytest.fixture(scope="module")
def checkpoint(network: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As fine-tuning saves it: the encoder among other things, prefixed where it ran on several devices."""
    path = tmp_path_factory.mktemp("ckpt") / "model_2500.pth"
    held = {f"module.Encoder.{key}": value for key, value in network.state_dict().items()}
    others = {"module.flame_model.v_template": torch.zeros(5143, 3), "module.cnn.input_layer.bias": torch.zeros(128)}
    torch.save(held | others, path)
    return path


# --- The network ------------------------------------------------------------------------------------------------------


def test_it_has_the_tensors_of_the_released_network() -> None:
    with torch.device("meta"):
        state = Encoder().state_dict()
    assert len(state) == 210
    assert sum(value.numel() for value in state.values()) == pytest.approx(100.1e6, abs=0.05e6)
    never_run = sum(v.numel() for k, v in state.items() if k.startswith(("encoder.layer3.", "encoder.layer4.")))
    assert never_run == pytest.approx(20e6, abs=0.1e6)
    assert {"encoder.layer2.0.downsample.0.weight", "decoder.0.convs.4.1.bias", "decoder.0.project.0.weight", "decoder.1.bias",
            "F_encoder.patchembed.norm.weight", "F_encoder.blocks.4.mlp.dwconv.dwconv.weight", "F_encoder.net.5.weight",
            "EHigh_encoder.net.8.bias", "Final_encoder.pathembed.proj.weight", "Final_encoder.block.attn.sr.weight",
            "Final_encoder.block.attn.norm.bias", "Final_encoder.output_net.6.weight"} <= set(state)
    assert not any("attn.q.bias" in key or "attn.kv.bias" in key or ".bn" in key for key in state)


def written_out(s: State, image: Any) -> Any:
    """Return the latent image by the fact sheet, step by step, from the state dict alone."""

    def conv(x: Any, name: str, stride: int = 1, padding: int | None = None, dilation: int = 1, groups: int = 1) -> Any:
        w = s[f"{name}.weight"]
        padding = w.shape[-1] // 2 if padding is None else padding
        return functional.conv2d(x, w, s[f"{name}.bias"], stride, padding, dilation, groups)

    def norm(x: Any, name: str) -> Any:
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
        return x * s[f"{name}.weight"] + s[f"{name}.bias"]

    def linear(x: Any, name: str) -> Any:
        return x @ s[f"{name}.weight"].T + (s[f"{name}.bias"] if f"{name}.bias" in s else 0)

    def residual(x: Any, name: str, stride: int) -> Any:
        y = conv(conv(x, f"{name}.conv1", stride).relu(), f"{name}.conv2")
        way = conv(x, f"{name}.downsample.0", stride) if f"{name}.downsample.0.weight" in s else x
        return (y + way).relu()

    def tokens(x: Any) -> Any:
        return x.permute(0, 2, 3, 1).reshape(1, -1, x.shape[1])

    def square(x: Any) -> Any:
        side = round(x.shape[1] ** 0.5)
        return x.reshape(1, side, side, -1).permute(0, 3, 1, 2)

    def block(x: Any, name: str, heads: int, reduced: bool) -> Any:
        y = norm(x, f"{name}.norm1")
        near = norm(tokens(conv(square(y), f"{name}.attn.sr", 2, 0)), f"{name}.attn.norm") if reduced else y
        q, kv = linear(y, f"{name}.attn.q"), linear(near, f"{name}.attn.kv")
        width = q.shape[2] // heads
        out = []
        for h in range(heads):
            part = slice(h * width, (h + 1) * width)
            k, v = kv[..., part], kv[..., 1024:][..., part]
            out.append((q[..., part] @ k.transpose(1, 2) / width**0.5).softmax(-1) @ v)
        x = x + linear(torch.cat(out, dim=-1), f"{name}.attn.proj")
        y = linear(norm(x, f"{name}.norm2"), f"{name}.mlp.fc1")
        y = tokens(conv(square(y), f"{name}.mlp.dwconv.dwconv", groups=2048))
        return x + linear(y * 0.5 * (1 + torch.erf(y / 2**0.5)), f"{name}.mlp.fc2")

    def shuffled(x: Any) -> Any:
        side, channels = x.shape[2], x.shape[1] // 4
        return x.reshape(1, channels, 2, 2, side, side).permute(0, 1, 4, 2, 5, 3).reshape(1, channels, 2 * side, 2 * side)

    def doubled(x: Any) -> Any:
        # Bilinear with corners aligned, as a product with a matrix along each axis.
        n = x.shape[2]
        at = torch.linspace(0, n - 1, 2 * n, dtype=x.dtype)
        low = at.floor().clamp(max=n - 2).long()
        m = torch.zeros(2 * n, n, dtype=x.dtype)
        m[torch.arange(2 * n), low], m[torch.arange(2 * n), low + 1] = 1 - (at - low), at - low
        return torch.einsum("ai,bcij,dj->bcad", m, x, m)

    def leaky(x: Any) -> Any:
        return torch.where(x > 0, x, 0.01 * x)

    size = image.shape[2]
    count = torch.arange(size, dtype=image.dtype)
    rows, columns = count[:, None].expand(size, size), count[None].expand(size, size)
    x = torch.cat([image, rows[None, None], columns[None, None]], dim=1)

    y = functional.max_pool2d(conv(x, "encoder.conv1", 2).relu(), 3, 2, 1)
    for layer, blocks in ((1, 3), (2, 4)):
        for i in range(blocks):
            y = residual(y, f"encoder.layer{layer}.{i}", 2 if (layer, i) == (2, 0) else 1)
    views = [conv(y, "decoder.0.convs.0.0")]
    views += [conv(y, f"decoder.0.convs.{i}.0", padding=r, dilation=r) for i, r in ((1, 12), (2, 24), (3, 36))]
    views.append(conv(y.mean(dim=(2, 3), keepdim=True), "decoder.0.convs.4.1").expand_as(views[0]))
    y = conv(torch.cat([v.relu() for v in views], dim=1), "decoder.0.project.0").relu()
    y = conv(y, "decoder.1").relu()

    y = norm(tokens(conv(y, "F_encoder.patchembed.proj", 2, 3)), "F_encoder.patchembed.norm")
    for i in range(5):
        y = block(y, f"F_encoder.blocks.{i}", 4, False)
    y = conv(doubled(shuffled(square(y))), "F_encoder.net.0").relu()
    low = conv(conv(doubled(y), "F_encoder.net.3").relu(), "F_encoder.net.5")

    high = x
    for i in range(5):
        high = leaky(conv(high, f"EHigh_encoder.net.{2 * i}", 2 if i == 0 else 1))

    y = leaky(conv(leaky(conv(torch.cat([high, low], dim=1), "Final_encoder.net.0")), "Final_encoder.net.2"))
    y = norm(tokens(conv(y, "Final_encoder.pathembed.proj", 2, 3)), "Final_encoder.pathembed.norm")
    y = torch.cat([shuffled(square(block(y, "Final_encoder.block", 2, True))), low], dim=1)
    for i in range(3):
        y = leaky(conv(y, f"Final_encoder.output_net.{2 * i}"))
    return conv(y, "Final_encoder.output_net.6")


def test_it_computes_what_the_fact_sheet_says(network: Encoder) -> None:
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        latent = network(image)
        expected = written_out(network.state_dict(), image)
    assert latent.shape == (1, 96, 32, 32)
    spread = float(expected.std())
    assert spread > 1e-3
    np.testing.assert_allclose(latent.numpy(), expected.numpy(), atol=1e-4 * spread + 1e-6)


def test_maps_are_means_of_neighbouring_channels() -> None:
    latent = torch.randn(96, 4, 4, generator=torch.Generator().manual_seed(2))
    maps = maps_of(latent)
    for name, first, group, count in (("local_position_uv", 0, 3, 3), ("rot_delta_uv", 9, 2, 4), ("local_scaling_uv", 17, 3, 3),
                                      ("gs_opacity_uv", 26, 2, 1), ("gs_features_uv", 28, 2, 3)):
        expected = torch.stack([latent[first + group * i:first + group * (i + 1)].mean(dim=0) for i in range(count)])
        np.testing.assert_allclose(maps[name].numpy(), expected.numpy(), atol=1e-6, err_msg=name)


# --- The picture ------------------------------------------------------------------------------------------------------


def save(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def test_a_high_picture_gets_white_beside_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (802, 550, 3), dtype=np.uint8)
    seen = portrait(save(tmp_path / "p.png", pixels))[0].numpy()
    assert seen.shape == (3, 512, 512)
    padded = np.full((802, 802, 3), 255, np.float64)
    padded[:, 126:676] = pixels
    at = (np.arange(512) + 0.5) * 802 / 512 - 0.5
    low = np.floor(at).astype(int)
    part = at - low
    rows = padded[low] * (1 - part)[:, None, None] + padded[np.minimum(low + 1, 801)] * part[:, None, None]
    both = rows[:, low] * (1 - part)[:, None] + rows[:, np.minimum(low + 1, 801)] * part[:, None]
    np.testing.assert_allclose(seen, both.transpose(2, 0, 1) / 255, atol=1e-4)
    assert (seen[:, :, :80] == 1).all() and (seen[:, :, -80:] == 1).all()


def test_what_is_transparent_is_white_and_a_wide_picture_is_padded_above(tmp_path: Path) -> None:
    pixels = np.zeros((40, 80, 4), np.uint8)
    pixels[:, 40:, 3] = 255
    seen = portrait(save(tmp_path / "p.png", pixels))[0].numpy()
    assert (seen[:, :100] == 1).all() and (seen[:, -100:] == 1).all()
    assert (seen[:, 256, :240] == 1).all() and (seen[:, 256, 280:] == 0).all()


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(b"\x89PNG not")
    with pytest.raises(FormatError, match="p.png: not a picture"):
        portrait(tmp_path / "p.png")
    with pytest.raises(MissingAsset, match="no such file"):
        portrait(tmp_path / "absent.png")


# --- Checkpoints ------------------------------------------------------------------------------------------------------


def test_a_checkpoint_loads_strictly(network: Encoder, checkpoint: Path) -> None:
    loaded = load(checkpoint).state_dict()
    for key, value in network.state_dict().items():
        assert torch.equal(loaded[key], value), key


def test_other_checkpoints_are_refused(network: Encoder, tmp_path: Path) -> None:
    path = tmp_path / "model_1.pth"
    # One stored number each: views of it have the shapes, and the file stays small.
    small = {f"Encoder.{k}": torch.zeros(1).expand(v.shape) for k, v in network.state_dict().items()}

    def refused(error: type[Exception], match: str, **changes: Any) -> None:
        state = {k: v for k, v in (small | {f"Encoder.{k}": v for k, v in changes.items()}).items() if v is not None}
        torch.save(state, path)
        with pytest.raises(error, match=match):
            load(path)

    refused(CheckpointMismatch, "'Encoder.decoder.1.bias' is missing; expected the 210 tensors", **{"decoder.1.bias": None})
    refused(CheckpointMismatch, "'Encoder.encoder.bn1.weight' is not known", **{"encoder.bn1.weight": torch.ones(64)})
    refused(CheckpointMismatch, r"encoder.conv1.weight': expected \[64, 5, 7, 7\], got \[64, 3, 7, 7\]",
            **{"encoder.conv1.weight": torch.zeros(64, 3, 7, 7)})
    refused(FormatError, "conv1.bias': not finite", **{"encoder.conv1.bias": torch.full((64,), torch.nan)})
    refused(FormatError, "conv1.bias': expected a tensor of numbers", **{"encoder.conv1.bias": 3})
    torch.save({"backbone.weight": torch.zeros(1)}, path)
    with pytest.raises(UnsupportedFeature, match="older network"):
        load(path)
    with pytest.raises(FormatError, match="size 1: expected 2 to 4096"):
        encode(path, tmp_path / "p.png", 1)


# --- An avatar --------------------------------------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path: Path) -> Original:
    """A head, and a person's flame_param.npz."""
    return write(tmp_path / "run", "uv", map_size=64)


def test_what_is_missing_is_said_before_it_runs(checkpoint: Path, made: Original, tmp_path: Path) -> None:
    picture = save(tmp_path / "p.png", np.zeros((4, 4, 3), np.uint8))
    for sides, head, match in (({}, made.head, "--side image=PORTRAIT"), ({"image": picture}, None, "OSGAP rides FLAME"),
                               ({"image": picture}, made.head, "--side flame_param=PATH")):
        with pytest.raises(MissingAsset, match=match):
            import_with_image(checkpoint, head, sides)
    with pytest.raises(UnsupportedFeature, match="no side input 'portrait'"):
        import_with_image(checkpoint, made.head, {"portrait": picture})
    with pytest.raises(UnsupportedFeature, match="takes no --side image"):
        import_with_image(made.path, made.head, {"image": picture})


@pytest.mark.slow
def test_a_portrait_becomes_an_avatar(checkpoint: Path, made: Original, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    latents, forward = [], Encoder.forward
    monkeypatch.setattr(Encoder, "forward", lambda self, image: latents.append(forward(self, image)) or latents[-1])
    pixels = np.random.default_rng(3).integers(0, 256, (80, 60, 3), dtype=np.uint8)
    picture = save(tmp_path / "p.png", pixels)
    sides = {"image": picture, "flame_param": made.path.with_name("flame_param.npz")}
    avatar = import_with_image(checkpoint, made.head, sides, size=80)
    (layer,) = avatar.layers
    assert isinstance(layer, SplatLayer) and avatar.maps is not None and avatar.maps.mask is not None
    assert len(layer.cloud) == avatar.maps.mask.sum() > 3000
    assert latents[0].shape == (1, 96, 256, 256)
    with torch.inference_mode():
        at = torch.linspace(-1, 1, 80)
        grid = torch.stack(torch.meshgrid(at, at, indexing="xy"), dim=-1)[None]
        sampled = functional.grid_sample(latents[0], grid, mode="bilinear", align_corners=True)[0]
    expected = {name: value.permute(1, 2, 0).numpy() for name, value in maps_of(sampled).items()}
    texel = np.flatnonzero(avatar.maps.mask)
    rows = {name: image.reshape(80 * 80, -1)[texel] for name, image in expected.items()}
    np.testing.assert_allclose(layer.cloud.means, rows["local_position_uv"], atol=1e-4)
    np.testing.assert_allclose(np.log(layer.cloud.scales), rows["local_scaling_uv"], atol=1e-4)
    np.testing.assert_allclose(layer.cloud.sh[:, 0] * 0.28209479 + 0.5, rows["gs_features_uv"], atol=1e-4)
    assert deform(avatar, made.sequence, 0).layers
    # The same maps, stored in a file and read without torch, are the same avatar.
    np.savez(tmp_path / "run" / "gs_attrs_uv_80X80_1.npz", **expected)
    assert set(npz_file.names(tmp_path / "run" / "gs_attrs_uv_80X80_1.npz")) == set(expected)
    again = osgap.read(tmp_path / "run" / "gs_attrs_uv_80X80_1.npz", made.head, color_space="rgb")
    np.testing.assert_allclose(again.layers[0].cloud.means, layer.cloud.means, atol=1e-4)  # type: ignore[union-attr]
    assert dataclasses.replace(again.meta, source="", name="") == dataclasses.replace(avatar.meta, source="", name="")
