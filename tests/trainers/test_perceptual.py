"""LPIPS and FATE's perceptual loss, on random weights in the published layouts: no real ones can be shipped."""

from collections.abc import Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402
from torch import Tensor  # noqa: E402

from formats.errors import AvatarError, FormatError, MissingAsset, UnsupportedFeature  # noqa: E402
from trainers.perceptual import ALEXNET, VGG16, Features, Lpips, Perceptual, read_weights  # noqa: E402

VGG_SHAPES = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128), 10: (256, 128), 12: (256, 256), 14: (256, 256),
              17: (512, 256), 19: (512, 512), 21: (512, 512), 24: (512, 512), 26: (512, 512), 28: (512, 512)}
ALEX_SHAPES = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}


def state(shapes: dict) -> dict[str, Tensor]:
    """Return random weights of torchvision's names and shapes, of a size that keeps features alive."""
    generator, held = torch.Generator().manual_seed(5), {}
    for number, (out, width, *kernel) in shapes.items():
        k = kernel[0] if kernel else 3
        held[f"features.{number}.weight"] = torch.randn(out, width, k, k, generator=generator) * (2 / (width * k * k)) ** 0.5
        held[f"features.{number}.bias"] = 0.1 * torch.randn(out, generator=generator)
    held["classifier.6.bias"] = torch.zeros(1000)
    return held


def linear(channels: tuple[int, ...]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(6)
    return {f"lin{i}.model.1.weight": torch.rand(1, c, 1, 1, generator=generator) for i, c in enumerate(channels)}


@pytest.fixture(scope="module", autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the four files as people have them."""
    folder = tmp_path_factory.mktemp("weights")
    save_file(state(VGG_SHAPES), folder / "vgg16.safetensors")
    torch.save(linear((64, 128, 256, 512, 512)), folder / "vgg.pth")
    torch.save(state(ALEX_SHAPES), folder / "alexnet.pth", _use_new_zipfile_serialization=False)  # as torchvision's are
    torch.save(linear((64, 192, 384, 256, 256)), folder / "alex.pth")
    return folder


def pictures(size: int = 64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    a = torch.rand(size, size, 3, generator=generator)
    return a, (a + 0.2 * torch.randn(a.shape, generator=generator)).clamp(0, 1)


def test_layouts_are_torchvisions() -> None:
    for network, shapes in ((VGG16, VGG_SHAPES), (ALEXNET, ALEX_SHAPES)):
        convolutions = {i: layer for i, layer in enumerate(network.layers) if layer.kind == "conv"}
        assert {i: layer.channels[::-1] for i, layer in convolutions.items()} == {i: s[:2] for i, s in shapes.items()}
        # Features are taken after a rectifier, never before one.
        assert all(network.layers[cut - 1].kind == "relu" for cut in (*network.lpips_cuts, *network.fate_cuts))
    assert VGG16.fate_cuts == (4, 9, 16, 23)


def test_feature_sizes() -> None:
    alex = Features(ALEXNET, state(ALEX_SHAPES), ALEXNET.lpips_cuts, "here")
    assert [tuple(f.shape[1:]) for f in alex(torch.rand(1, 3, 64, 64))] == [
        (64, 15, 15), (192, 7, 7), (384, 3, 3), (256, 3, 3), (256, 3, 3)]
    vgg = Features(VGG16, state(VGG_SHAPES), VGG16.lpips_cuts, "here")
    assert [tuple(f.shape[1:]) for f in vgg(torch.rand(1, 3, 64, 64))] == [
        (64, 64, 64), (128, 32, 32), (256, 16, 16), (512, 8, 8), (512, 4, 4)]
    assert not list(vgg.parameters()) and not vgg.state_dict()


@pytest.mark.parametrize("names", [("vgg16.safetensors", "vgg.pth"), ("alexnet.pth", "alex.pth")])
def test_lpips_is_a_distance(files: Path, names: tuple[str, str]) -> None:
    lpips = Lpips(*(files / name for name in names))
    assert lpips.network == ("VGG-16" if "vgg" in names[0] else "AlexNet")
    a, b = pictures()
    with torch.no_grad():
        assert float(lpips(a, a)) == 0 and float(lpips(a, b)) > 1e-4
        assert float(lpips(a, b)) == pytest.approx(float(lpips(b, a)), rel=1e-5)
        nearer = float(lpips(a, a + 0.1 * (b - a)))
        assert nearer < float(lpips(a, b))
        assert torch.isfinite(lpips(torch.zeros(32, 32, 3), torch.ones(32, 32, 3)))
    with pytest.raises(UnsupportedFeature, match="31 x 40"):
        lpips(torch.zeros(40, 31, 3), torch.zeros(40, 31, 3))


def test_lpips_by_hand(files: Path) -> None:
    """The formula once more, in other words: eq. 1 of the paper."""
    a, b = pictures()
    weights, lin = read_weights(files / "alexnet.pth"), read_weights(files / "alex.pth")
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 64, 11, 4, 2), torch.nn.ReLU(), torch.nn.MaxPool2d(3, 2), torch.nn.Conv2d(64, 192, 5, padding=2),
        torch.nn.ReLU(), torch.nn.MaxPool2d(3, 2), torch.nn.Conv2d(192, 384, 3, padding=1), torch.nn.ReLU(),
        torch.nn.Conv2d(384, 256, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(256, 256, 3, padding=1), torch.nn.ReLU())
    net.load_state_dict({k.removeprefix("features."): v for k, v in weights.items() if k.startswith("features")})
    x = torch.stack([a, b]).permute(0, 3, 1, 2) * 2 - 1
    x = (x - torch.tensor([-0.030, -0.088, -0.188])[:, None, None]) / torch.tensor([0.458, 0.448, 0.450])[:, None, None]
    total, number = 0.0, 0
    with torch.no_grad():
        for i, layer in enumerate(net):
            x = layer(x)
            if i in (1, 4, 7, 9, 11):
                unit = x / x.norm(dim=1, keepdim=True)
                unit = unit.nan_to_num(0)
                w = lin[f"lin{number}.model.1.weight"][0]
                total += float((w * (unit[0] - unit[1]) ** 2).sum(dim=0).mean())
                number += 1
        assert float(Lpips(files / "alexnet.pth", files / "alex.pth")(a, b)) == pytest.approx(total, rel=1e-4)


def test_perceptual_loss(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = Perceptual(files / "vgg16.safetensors")
    a, b = pictures(48)
    assert loss._input(a).shape == (1, 3, 224, 224)
    white = loss._input(torch.ones(9, 5, 3))[0].mean(dim=(1, 2))
    torch.testing.assert_close(white, (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225]))
    monkeypatch.setattr("trainers.perceptual.FATE_SIZE", 64)  # a twelfth of the work
    assert not list(loss.parameters()) and not loss.state_dict()
    a.requires_grad_(True)
    value = loss(a, b)
    value.backward()
    assert value.shape == () and float(value.detach()) > 0.01
    assert a.grad is not None and torch.isfinite(a.grad).all() and (a.grad != 0).float().mean() > 0.9
    by_hand = sum((x - y).abs().mean() for x, y in zip(loss.features(loss._input(a.detach())), loss.features(loss._input(b)),
                                                     strict=True))
    assert float(value.detach()) == pytest.approx(float(by_hand), rel=1e-5)
    with torch.no_grad():
        assert float(loss(b, b)) == 0
        assert float(loss(b, a)) == pytest.approx(float(value), rel=1e-4)
        assert float(loss(a + 0.1 * (b - a), a)) < float(value)


def test_wrong_files_are_refused_in_one_line(files: Path, tmp_path: Path) -> None:
    (tmp_path / "text.pth").write_text("these are no weights at all\n" * 4)
    torch.save(["not", "a", "dict"], tmp_path / "list.pth")
    torch.save({"features.0.weight": torch.zeros(64, 3, 5, 5)}, tmp_path / "other.pth")
    short = {k: v for k, v in state(ALEX_SHAPES).items() if not k.startswith("features.8")}
    torch.save(short, tmp_path / "short.pth")
    broken = linear((64, 192, 384, 256, 256))
    broken["lin2.model.1.weight"][0, 0] = float("nan")
    torch.save(broken, tmp_path / "nan.pth")
    (tmp_path / "cut.pth").write_bytes((files / "alex.pth").read_bytes()[:900])
    alex, lin = files / "alexnet.pth", files / "alex.pth"

    def told(kind: type[AvatarError], part: str, *paths: Path) -> None:
        with pytest.raises(kind, match=part) as caught:
            Lpips(*paths) if len(paths) == 2 else Perceptual(*paths)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 400

    told(MissingAsset, "no such file", tmp_path / "none.pth", lin)
    told(FormatError, "text.pth: neither safetensors nor", tmp_path / "text.pth", lin)
    told(FormatError, "cut.pth: neither safetensors nor", alex, tmp_path / "cut.pth")
    told(FormatError, "list.pth: holds list", alex, tmp_path / "list.pth")
    told(FormatError, r"is \[64, 3, 5, 5\]; expected torchvision's VGG-16", tmp_path / "other.pth", lin)
    told(FormatError, "name the backbone first", lin, alex)  # exchanged
    told(FormatError, r"short.pth: 'features.8.weight' is missing, expected \[256, 384, 3, 3\]", tmp_path / "short.pth", lin)
    told(FormatError, r"vgg.pth: 'lin1.model.1.weight' is \[1, 128, 1, 1\], expected \[1, 192, 1, 1\]", alex,
         files / "vgg.pth")
    told(FormatError, "not finite", alex, tmp_path / "nan.pth")
    told(FormatError, r"'features.0.weight' is \[64, 3, 11, 11\], expected \[64, 3, 3, 3\]", alex)


def test_a_strangers_code_does_not_run(tmp_path: Path) -> None:
    import pickle

    class Trap:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    for protocol in (2, 4):
        (tmp_path / "trap.pth").write_bytes(pickle.dumps({"features.0.weight": Trap()}, protocol))
        with pytest.raises(FormatError, match="neither safetensors nor"):
            read_weights(tmp_path / "trap.pth")
        assert not (tmp_path / "ran").exists()
