"""Compare `formats.render` with gsplat on a CUDA device: the outside check of our definition of a picture.

    python scripts/check_gsplat.py --out FILE.csv

Needs torch with CUDA and gsplat, which compiles itself on first use. Everything drawn is random and made here. Prints
and writes one row per case; exit 1 when a case differs by more than the two definitions do:

- gsplat works in float32: where alpha lands within rounding of 1/255 one draws it and the other does not, which moves
  a pixel by up to 1/255, and Gaussians whose depths round to the same float32 may swap.
- gsplat stops once less than 1e-4 shows through.
- gsplat caps alpha at 0.999, we and the original rasteriser at 0.99; opacities here stay below 0.99.
"""

import argparse
import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from formats.camera import Camera, look_at  # noqa: E402
from formats.conventions import rgb_to_sh  # noqa: E402
from formats.deform import PosedSplats  # noqa: E402
from formats.files import replacing  # noqa: E402
from formats.gaussians import GaussianCloud  # noqa: E402
from formats.picture import psnr  # noqa: E402
from formats.render import RenderOptions, render_layers  # noqa: E402
from formats.rotations import normalize  # noqa: E402

STEP = 1 / 255
BEYOND_STEP = 1e-4
"""Share of pixels that may differ by more than one 8-bit step (swapped ties)."""
LEAST_PSNR = 65.0
"""dB; single-precision edges at 1/255 leave about 80."""


@dataclass(frozen=True)
class Case:
    """One picture."""

    name: str
    cloud: GaussianCloud
    camera: Camera
    options: RenderOptions = RenderOptions()


def head_cloud(count: int, degree: int, size: float = 0.0015, spread: float = 0.6, seed: int = 0) -> GaussianCloud:
    """Return Gaussians on a head-sized shell and inside it, metres, with view-dependent colour."""
    rng = np.random.default_rng(seed)
    shell = normalize(rng.normal(size=(count, 3))) * [0.08, 0.115, 0.095] * rng.uniform(0.9, 1.02, (count, 1))
    sh = rng.normal(0, 0.12, (count, (degree + 1) ** 2, 3))
    sh[:, 0] = rgb_to_sh(rng.uniform(0, 1, (count, 3)))
    return GaussianCloud(shell, normalize(rng.normal(size=(count, 4))), size * np.exp(rng.normal(0, spread, (count, 3))),
                         rng.uniform(0.01, 0.989, count), sh)


def cases() -> list[Case]:
    """Return what is drawn."""
    front = look_at((0, 0, 0.95), (0, 0, 0), np.deg2rad(20), 512, 512)
    side = look_at((0.6, 0.25, 0.5), (0, 0.01, 0), np.deg2rad(24), 512, 512)
    shifted = np.array([[2300.0, 0, 71.3], [0, 2150.0, 470.9], [0, 0, 1]])
    wide = look_at((0.02, 0, 0.35), (0, 0, 0), np.deg2rad(50), 640, 360)
    inside = look_at((0.0, 0.0, 0.16), (0.02, 0.01, 0), np.deg2rad(70), 512, 512)
    black, gray = (0.0, 0.0, 0.0), (0.3, 0.5, 0.7)
    return [
        Case("front, SH 0", head_cloud(50_000, 0), front),
        Case("front, SH 3", head_cloud(50_000, 3, seed=1), front),
        Case("side, SH 3, gray", head_cloud(50_000, 3, seed=2), side, RenderOptions(gray)),
        Case("side, SH 1, black", head_cloud(20_000, 1, seed=3), side, RenderOptions(black)),
        Case("side, SH 2", head_cloud(20_000, 2, seed=4), side),
        Case("off-centre principal point, fx != fy", head_cloud(50_000, 3, seed=5),
             Camera(shifted, side.world_to_camera, 512, 512)),
        Case("wide picture, near the head", head_cloud(50_000, 3, seed=6), wide),
        Case("near plane at 0.05 m, camera at the skin", head_cloud(50_000, 3, seed=7), inside, RenderOptions(near=0.05)),
        Case("default near plane cuts the face off", head_cloud(50_000, 3, seed=8), inside),
        Case("needles and disks", head_cloud(50_000, 0, 0.0007, 1.1, 9), side),
        Case("dust below a pixel", head_cloud(100_000, 0, 0.0001, 0.5, 10), front),
        Case("few and huge", head_cloud(200, 3, 0.03, 0.5, 11), side),
        Case("one", head_cloud(1, 3, 0.02, 0.3, 12), front),
        Case("180k", head_cloud(180_000, 0, 0.0008, 0.5, 13), front),
    ]


def draw_with_gsplat(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Return gsplat's picture [H, W, 3], clipped to 0..1, and its alpha [H, W]."""
    import gsplat
    import torch

    def tensor(value: np.ndarray) -> torch.Tensor:
        return torch.tensor(np.asarray(value), dtype=torch.float32, device="cuda")

    cloud, camera = case.cloud, case.camera
    with torch.no_grad():
        rgb, alpha, _ = gsplat.rasterization(
            tensor(cloud.means), tensor(cloud.quats), tensor(cloud.scales), tensor(cloud.opacities), tensor(cloud.sh),
            tensor(camera.world_to_camera)[None], tensor(camera.K)[None], camera.width, camera.height,
            near_plane=case.options.near, eps2d=case.options.low_pass, sh_degree=cloud.sh_degree, packed=False,
            backgrounds=tensor(np.array(case.options.background))[None], rasterize_mode="classic")
    return rgb[0].clamp(0, 1).cpu().numpy(), alpha[0, ..., 0].cpu().numpy()


def compare(case: Case) -> dict[str, str | int | float]:
    """Return the row of one case."""
    ours = render_layers([PosedSplats("cloud", case.cloud, np.eye(3))], case.camera, case.options)
    rgb, alpha = draw_with_gsplat(case)
    off = np.abs(ours.rgb - rgb)
    worst = off.max(axis=2)
    return {"case": case.name, "gaussians": len(case.cloud), "covered": round(float((ours.alpha > 0.5).mean()), 4),
            "max_difference": float(off.max()), "mean_difference": float(off.mean()),
            "alpha_max_difference": float(np.abs(ours.alpha - alpha).max()),
            "share_beyond_one_step": float((worst > STEP).mean()), "psnr_db": round(psnr(ours.rgb, rgb), 2)}


def main() -> int:
    """Compare every case, print and write the table; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="CSV file to write")
    out = parser.parse_args().out
    try:
        import gsplat
        import torch
    except ImportError as error:
        print(f"this check needs torch and gsplat: pip install 'flameport[train]' ({error})", file=sys.stderr)
        return 1
    if not torch.cuda.is_available():
        print("this check needs a CUDA device; torch sees none", file=sys.stderr)
        return 1
    rows = [compare(case) for case in cases()]
    with replacing(out) as temporary, temporary.open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader()
        table.writerows(rows)
    print(f"gsplat {gsplat.__version__}, torch {torch.__version__}, {torch.cuda.get_device_name()}")
    print(f"{'case':42} {'N':>7} {'cover':>6} {'max*255':>8} {'mean*255':>9} {'>1 step':>8} {'PSNR':>7}")
    failed = 0
    for row in rows:
        bad = float(row["share_beyond_one_step"]) > BEYOND_STEP or float(row["psnr_db"]) < LEAST_PSNR
        failed += bad
        print(f"{row['case']:42} {row['gaussians']:7} {row['covered']:6.3f} {float(row['max_difference']) * 255:8.3f} "
              f"{float(row['mean_difference']) * 255:9.5f} {row['share_beyond_one_step']:8.1e} {row['psnr_db']:7.2f}"
              f"{'  FAILED' if bad else ''}")
    print(f"{len(rows) - failed} of {len(rows)} cases agree; wrote {out}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
