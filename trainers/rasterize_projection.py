"""From Gaussians in the world to ellipses on the picture and their gradients back, compiled. Needs numba.

The formulas are `formats.render.project`'s; arithmetic is float64 inside, as there. An ellipse leaves as (a, b, c) of
`trainers.rasterize_kernels`, which float32 can hold without losing a needle's thickness.
"""

import math

import numpy as np

from formats.rasterize import ALPHA_MIN, EDGE
from formats.render import JACOBIAN_MARGIN
from trainers.rasterize_kernels import compiled

_TINY = 1e-12
"""Quaternions shorter than this count as no rotation, without a gradient."""


@compiled(inline="always")
def _rotation(w, x, y, z):
    """Return the nine numbers of a unit quaternion's matrix, row by row."""
    return (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y))


@compiled(inline="always")
def _limits(k, width, height):
    """Return the slopes between which the projection is followed: least and largest x, least and largest y."""
    margin_x, margin_y = JACOBIAN_MARGIN * width / 2, JACOBIAN_MARGIN * height / 2
    return (-(k[2] + margin_x) / k[0], (width - k[2] + margin_x) / k[0],
            -(k[3] + margin_y) / k[1], (height - k[3] + margin_y) / k[1])


@compiled()
def project(first: int, end: int, means: np.ndarray, quats: np.ndarray, scales: np.ndarray, opacities: np.ndarray,
            rgb: np.ndarray, viewmat: np.ndarray, k: np.ndarray, width: int, height: int, near: float, low_pass: float,
            means2d: np.ndarray, shapes: np.ndarray, depths: np.ndarray, visible: np.ndarray) -> int:
    """Fill rows first..end-1 of means2d, shapes (a, b, c), depths and visible; return how many are not finite numbers.

    Args:
        first: Row.
        end: Row.
        means: float32 [N, 3], as the next four.
        quats: Need not be unit.
        scales: Metres.
        opacities: [N].
        rgb: Is only looked at for numbers that are not finite.
        viewmat: World to camera, float64 [4, 4].
        k: fx, fy, cx, cy in pixels, float64.
        width: Pixels.
        height: Pixels.
        near: Metres.
        low_pass: Square pixels.
        means2d: float32 [N, 2], out; rows that are not visible are zero.
        shapes: float32 [N, 3], out.
        depths: float64 [N], out.
        visible: bool [N], out.
    """
    least_x, most_x, least_y, most_y = _limits(k, width, height)
    broken = 0
    for g in range(first, end):
        visible[g] = False
        means2d[g, 0] = means2d[g, 1] = shapes[g, 0] = shapes[g, 1] = shapes[g, 2] = 0
        mx, my, mz = float(means[g, 0]), float(means[g, 1]), float(means[g, 2])
        s0, s1, s2 = float(scales[g, 0]), float(scales[g, 1]), float(scales[g, 2])
        qw, qx, qy, qz = float(quats[g, 0]), float(quats[g, 1]), float(quats[g, 2]), float(quats[g, 3])
        opacity = float(opacities[g])
        everything = (mx + my + mz + s0 + s1 + s2 + qw + qx + qy + qz + opacity
                      + float(rgb[g, 0]) + float(rgb[g, 1]) + float(rgb[g, 2]))
        if not math.isfinite(everything):
            broken += 1
            continue
        z = viewmat[2, 0] * mx + viewmat[2, 1] * my + viewmat[2, 2] * mz + viewmat[2, 3]
        depths[g] = z
        if not z > near or not opacity >= ALPHA_MIN:
            continue
        x = (viewmat[0, 0] * mx + viewmat[0, 1] * my + viewmat[0, 2] * mz + viewmat[0, 3]) / z
        y = (viewmat[1, 0] * mx + viewmat[1, 1] * my + viewmat[1, 2] * mz + viewmat[1, 3]) / z
        inverse = 1 / max(math.sqrt(qw * qw + qx * qx + qy * qy + qz * qz), _TINY)
        r00, r01, r02, r10, r11, r12, r20, r21, r22 = _rotation(qw * inverse, qx * inverse, qy * inverse, qz * inverse)
        slope_x, slope_y = min(max(x, least_x), most_x), min(max(y, least_y), most_y)
        scale_x, scale_y = k[0] / z, k[1] / z
        # The projection's slope in world axes, two rows of three.
        p0, q0 = scale_x * (viewmat[0, 0] - slope_x * viewmat[2, 0]), scale_y * (viewmat[1, 0] - slope_y * viewmat[2, 0])
        p1, q1 = scale_x * (viewmat[0, 1] - slope_x * viewmat[2, 1]), scale_y * (viewmat[1, 1] - slope_y * viewmat[2, 1])
        p2, q2 = scale_x * (viewmat[0, 2] - slope_x * viewmat[2, 2]), scale_y * (viewmat[1, 2] - slope_y * viewmat[2, 2])
        f0, h0 = (p0 * r00 + p1 * r10 + p2 * r20) * s0, (q0 * r00 + q1 * r10 + q2 * r20) * s0
        f1, h1 = (p0 * r01 + p1 * r11 + p2 * r21) * s1, (q0 * r01 + q1 * r11 + q2 * r21) * s1
        f2, h2 = (p0 * r02 + p1 * r12 + p2 * r22) * s2, (q0 * r02 + q1 * r12 + q2 * r22) * s2
        xx = f0 * f0 + f1 * f1 + f2 * f2 + low_pass
        xy = f0 * h0 + f1 * h1 + f2 * h2
        yy = h0 * h0 + h1 * h1 + h2 * h2 + low_pass
        area = xx * yy - xy * xy
        if not area > 0:
            continue
        reach = 2 * math.log(opacity / ALPHA_MIN)
        half_x, half_y = math.sqrt(reach * xx), math.sqrt(reach * yy)
        u, v = k[0] * x + k[2], k[1] * y + k[3]
        if (min(math.floor(u + half_x - 0.5 + EDGE), width - 1.0) < max(math.ceil(u - half_x - 0.5 - EDGE), 0.0)
                or min(math.floor(v + half_y - 0.5 + EDGE), height - 1.0) < max(math.ceil(v - half_y - 0.5 - EDGE), 0.0)):
            continue
        visible[g] = True
        means2d[g, 0], means2d[g, 1] = u, v
        shapes[g, 0], shapes[g, 1], shapes[g, 2] = yy / area, -xy / yy, 1 / yy
    return broken


@compiled()
def project_back(first: int, end: int, means: np.ndarray, quats: np.ndarray, scales: np.ndarray, viewmat: np.ndarray,
                 k: np.ndarray, width: int, height: int, visible: np.ndarray, shapes: np.ndarray,
                 means2d_grad: np.ndarray, shapes_grad: np.ndarray, means_grad: np.ndarray, quats_grad: np.ndarray,
                 scales_grad: np.ndarray) -> None:
    """Fill rows first..end-1 of the last three with gradients; what is not visible gets zeros. Arrays as `project`'s."""
    least_x, most_x, least_y, most_y = _limits(k, width, height)
    for g in range(first, end):
        means_grad[g] = 0
        quats_grad[g] = 0
        scales_grad[g] = 0
        if not visible[g]:
            continue
        mx, my, mz = float(means[g, 0]), float(means[g, 1]), float(means[g, 2])
        s0, s1, s2 = float(scales[g, 0]), float(scales[g, 1]), float(scales[g, 2])
        qw, qx, qy, qz = float(quats[g, 0]), float(quats[g, 1]), float(quats[g, 2]), float(quats[g, 3])
        z = viewmat[2, 0] * mx + viewmat[2, 1] * my + viewmat[2, 2] * mz + viewmat[2, 3]
        x = (viewmat[0, 0] * mx + viewmat[0, 1] * my + viewmat[0, 2] * mz + viewmat[0, 3]) / z
        y = (viewmat[1, 0] * mx + viewmat[1, 1] * my + viewmat[1, 2] * mz + viewmat[1, 3]) / z
        length = math.sqrt(qw * qw + qx * qx + qy * qy + qz * qz)
        inverse = 1 / max(length, _TINY)
        qw, qx, qy, qz = qw * inverse, qx * inverse, qy * inverse, qz * inverse
        r00, r01, r02, r10, r11, r12, r20, r21, r22 = _rotation(qw, qx, qy, qz)
        slope_x, slope_y = min(max(x, least_x), most_x), min(max(y, least_y), most_y)
        scale_x, scale_y = k[0] / z, k[1] / z
        p0, q0 = scale_x * (viewmat[0, 0] - slope_x * viewmat[2, 0]), scale_y * (viewmat[1, 0] - slope_y * viewmat[2, 0])
        p1, q1 = scale_x * (viewmat[0, 1] - slope_x * viewmat[2, 1]), scale_y * (viewmat[1, 1] - slope_y * viewmat[2, 1])
        p2, q2 = scale_x * (viewmat[0, 2] - slope_x * viewmat[2, 2]), scale_y * (viewmat[1, 2] - slope_y * viewmat[2, 2])
        # The slope times the rotation, before the scales.
        e0, d0 = p0 * r00 + p1 * r10 + p2 * r20, q0 * r00 + q1 * r10 + q2 * r20
        e1, d1 = p0 * r01 + p1 * r11 + p2 * r21, q0 * r01 + q1 * r11 + q2 * r21
        e2, d2 = p0 * r02 + p1 * r12 + p2 * r22, q0 * r02 + q1 * r12 + q2 * r22

        # (a, b, c) to the covariance: da = -a^2 (dxx + 2 b dxy + b^2 dyy), db = -c dxy - b c dyy, dc = -c^2 dyy.
        a, b, c = float(shapes[g, 0]), float(shapes[g, 1]), float(shapes[g, 2])
        ga, gb, gc = float(shapes_grad[g, 0]), float(shapes_grad[g, 1]), float(shapes_grad[g, 2])
        gxx = -a * a * ga
        gxy = 2 * b * gxx - c * gb
        gyy = b * b * gxx - b * c * gb - c * c * gc
        # To the two rows of slope times rotation times scales.
        gf0, gh0 = 2 * gxx * e0 * s0 + gxy * d0 * s0, 2 * gyy * d0 * s0 + gxy * e0 * s0
        gf1, gh1 = 2 * gxx * e1 * s1 + gxy * d1 * s1, 2 * gyy * d1 * s1 + gxy * e1 * s1
        gf2, gh2 = 2 * gxx * e2 * s2 + gxy * d2 * s2, 2 * gyy * d2 * s2 + gxy * e2 * s2
        scales_grad[g, 0] = gf0 * e0 + gh0 * d0
        scales_grad[g, 1] = gf1 * e1 + gh1 * d1
        scales_grad[g, 2] = gf2 * e2 + gh2 * d2
        gf0, gh0, gf1, gh1, gf2, gh2 = gf0 * s0, gh0 * s0, gf1 * s1, gh1 * s1, gf2 * s2, gh2 * s2
        # To the rotation, and on to the quaternion, whose length has no say.
        g00, g01, g02 = p0 * gf0 + q0 * gh0, p0 * gf1 + q0 * gh1, p0 * gf2 + q0 * gh2
        g10, g11, g12 = p1 * gf0 + q1 * gh0, p1 * gf1 + q1 * gh1, p1 * gf2 + q1 * gh2
        g20, g21, g22 = p2 * gf0 + q2 * gh0, p2 * gf1 + q2 * gh1, p2 * gf2 + q2 * gh2
        gw = 2 * (qx * (g21 - g12) + qy * (g02 - g20) + qz * (g10 - g01))
        gx = 2 * (qw * (g21 - g12) + qy * (g01 + g10) + qz * (g02 + g20) - 2 * qx * (g11 + g22))
        gy = 2 * (qw * (g02 - g20) + qx * (g01 + g10) + qz * (g12 + g21) - 2 * qy * (g00 + g22))
        gz = 2 * (qw * (g10 - g01) + qx * (g02 + g20) + qy * (g12 + g21) - 2 * qz * (g00 + g11))
        along = gw * qw + gx * qx + gy * qy + gz * qz
        if length >= _TINY:
            quats_grad[g, 0], quats_grad[g, 1] = (gw - along * qw) * inverse, (gx - along * qx) * inverse
            quats_grad[g, 2], quats_grad[g, 3] = (gy - along * qy) * inverse, (gz - along * qz) * inverse
        # To the slope in world axes, to slope_x, slope_y and 1 / z, to the mean in camera axes.
        m0, n0 = gf0 * r00 + gf1 * r01 + gf2 * r02, gh0 * r00 + gh1 * r01 + gh2 * r02
        m1, n1 = gf0 * r10 + gf1 * r11 + gf2 * r12, gh0 * r10 + gh1 * r11 + gh2 * r12
        m2, n2 = gf0 * r20 + gf1 * r21 + gf2 * r22, gh0 * r20 + gh1 * r21 + gh2 * r22
        gx = -scale_x * (m0 * viewmat[2, 0] + m1 * viewmat[2, 1] + m2 * viewmat[2, 2]) if least_x < x < most_x else 0.0
        gy = -scale_y * (n0 * viewmat[2, 0] + n1 * viewmat[2, 1] + n2 * viewmat[2, 2]) if least_y < y < most_y else 0.0
        gz = -(m0 * p0 + m1 * p1 + m2 * p2 + n0 * q0 + n1 * q1 + n2 * q2) / z
        gx = (gx + means2d_grad[g, 0] * k[0]) / z
        gy = (gy + means2d_grad[g, 1] * k[1]) / z
        gz -= gx * x + gy * y
        for i in range(3):
            means_grad[g, i] = viewmat[0, i] * gx + viewmat[1, i] * gy + viewmat[2, i] * gz
