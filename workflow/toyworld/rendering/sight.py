"""Compiled kernels on visibility: solid angles of boxes behind walls and other boxes, and directions that show most.

Boxes (B, 8) and walls (S, 4) are those of `rooms.free_space`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from toyworld.rooms.free_space import EPS


@njit(cache=True)
def _blocked(p, q, skip, walls, boxes):
    """Return whether a wall or a box other than `skip` cuts the segment from p to q (3,)."""
    dx, dy, dz = q[0] - p[0], q[1] - p[1], q[2] - p[2]
    for k in range(len(walls)):
        ax, ay = walls[k, 0] - p[0], walls[k, 1] - p[1]
        ex, ey = walls[k, 2] - walls[k, 0], walls[k, 3] - walls[k, 1]
        across = dx * ey - dy * ex
        if abs(across) > EPS:
            t = (ax * ey - ay * ex) / across
            s = (ax * dy - ay * dx) / across
            if 0.0 < t < 1.0 - EPS and -EPS < s < 1.0 + EPS:
                return True
    for k in range(len(boxes)):
        if k == skip:
            continue
        b = boxes[k]
        low, high = 0.0, 1.0
        ox, oy = p[0] - b[0], p[1] - b[1]
        if abs(dx * oy - dy * ox) > (b[2] + b[3]) * np.sqrt(dx * dx + dy * dy):
            continue
        for axis in range(3):
            if axis == 0:
                o, d, half = ox * b[4] + oy * b[5], dx * b[4] + dy * b[5], b[2]
            elif axis == 1:
                o, d, half = oy * b[4] - ox * b[5], dy * b[4] - dx * b[5], b[3]
            else:
                o, d, half = p[2] - (b[6] + b[7]) / 2, dz, (b[7] - b[6]) / 2
            if abs(d) < 1e-12:
                if abs(o) >= half:
                    low = 2.0
                    break
                continue
            t0, t1 = (-half - o) / d, (half - o) / d
            if t0 > t1:
                t0, t1 = t1, t0
            low, high = max(low, t0), min(high, t1)
        if low < high - EPS:
            return True
    return False


@njit(cache=True)
def visible_angles(eyes, walls, boxes, least):
    """Return the solid angle of each box seen from each eye (E, 3): (E, B) steradians.

    The visible share of a face is estimated from two points on it. Faces below `least` steradians count as unseen.
    """
    out = np.zeros((len(eyes), len(boxes)))
    point = np.empty(3)
    for e in range(len(eyes)):
        eye = eyes[e]
        for k in range(len(boxes)):
            b = boxes[k]
            ox, oy, oz = eye[0] - b[0], eye[1] - b[1], eye[2] - (b[6] + b[7]) / 2
            lx, ly = ox * b[4] + oy * b[5], oy * b[4] - ox * b[5]
            hz = (b[7] - b[6]) / 2
            for axis in range(3):
                half = b[2] if axis == 0 else b[3] if axis == 1 else hz
                along = lx if axis == 0 else ly if axis == 1 else oz
                if abs(along) <= half:
                    continue
                sign = 1.0 if along > 0 else -1.0
                area = 4 * (b[3] * hz if axis == 0 else b[2] * hz if axis == 1 else b[2] * b[3])
                away = abs(along) - half
                squared = lx * lx + ly * ly + oz * oz - along * along + away * away
                angle = area * away / squared**1.5
                if angle < least:
                    continue
                open_ = 0
                for side in (-0.6, 0.6):
                    x = sign * (half + 0.01) if axis == 0 else side * b[2]
                    y = sign * (half + 0.01) if axis == 1 else -side * b[3]
                    z = sign * (half + 0.01) if axis == 2 else side * hz
                    point[0] = b[0] + x * b[4] - y * b[5]
                    point[1] = b[1] + x * b[5] + y * b[4]
                    point[2] = (b[6] + b[7]) / 2 + z
                    open_ += not _blocked(eye, point, k, walls, boxes)
                out[e, k] += 0.5 * open_ * angle
    return out


@njit(cache=True)
def choose_spots(seen, spots, n, apart):
    """Choose up to `n` rows of `spots` (E, 2), `apart` metres from each other, that together show most; greedily.

    `seen` (E, B) is visibility in units of "clearly seen". The value of a set is the sum over boxes of
    log(1 + 4 total). Returns the indices of the chosen rows.
    """
    total = np.zeros(seen.shape[1])
    chosen = np.empty(n, dtype=np.int64)
    count = 0
    for _ in range(n):
        best, best_gain = -1, 1e-9
        for e in range(len(spots)):
            near = False
            for c in range(count):
                near |= np.hypot(spots[e, 0] - spots[chosen[c], 0], spots[e, 1] - spots[chosen[c], 1]) < apart
            if near:
                continue
            gain = 0.0
            for b in range(seen.shape[1]):
                gain += np.log1p((total[b] + seen[e, b]) * 4) - np.log1p(total[b] * 4)
            if gain > best_gain:
                best, best_gain = e, gain
        if best < 0:
            break
        chosen[count] = best
        count += 1
        total += seen[best]
    return chosen[:count]


@njit(cache=True)
def _worth(yaw, clear, bearing, half_width):
    """Return the value of a sequence of directions: boxes seen at all count most, then up to three moments each.

    The number of boxes in view counts too, up to four per moment, so that no bare wall is filmed; turning costs.
    Directions are first averaged with their neighbours, as the recording interpolates them.
    """
    n_times, n_boxes = clear.shape
    times = np.zeros(n_boxes)
    cost = crowd = 0.0
    for t in range(n_times):
        mean = yaw[t]
        if t > 0:
            cost += 2.5 * (yaw[t] - yaw[t - 1]) ** 2
        if 0 < t < n_times - 1:
            mean = (yaw[t - 1] + 4 * yaw[t] + yaw[t + 1]) / 6
            cost += (yaw[t - 1] - 2 * yaw[t] + yaw[t + 1]) ** 2
        company = 0.0
        for b in range(n_boxes):
            if clear[t, b] > 0:
                off = bearing[t, b] - mean
                off -= 2 * np.pi * np.round(off / (2 * np.pi))
                if abs(off) <= half_width:
                    times[b] += clear[t, b]
                    company += 1.0
        crowd += min(company, 4.0)
    value = 0.12 * crowd - 0.2 * cost
    for b in range(n_boxes):
        value += 2 * min(times[b], 1.0) + min(times[b], 3.0) / 3
    return value


@njit(cache=True)
def turn_to_see(clear, bearing, half_width, reach, draws):
    """Return directions (T,), one per moment, that show as many boxes as possible, in unwrapped radians.

    clear (T, B): how well a box is seen at a moment if the camera points at it, 0 to 1; bearing (T, B): its direction,
    radians; reach: largest turn between moments, radians. The best even sweep is improved by random changes, one for
    each row of `draws` (R, 4) of uniform numbers, which are kept if they add value.
    """
    n = len(clear)
    best, best_value = np.zeros(n), -1e18
    for rate in range(-8, 9):
        for start in range(24):
            yaw = 2 * np.pi * start / 24 + np.arange(n) * (reach * rate / 8)
            value = _worth(yaw, clear, bearing, half_width)
            if value > best_value:
                best, best_value = yaw, value
    for r in range(len(draws)):
        middle = int(draws[r, 0] * n)
        width = 1 + int(draws[r, 1] * 12)
        by = (2 * draws[r, 2] - 1) * reach * width * 0.8
        yaw = best.copy()
        for t in range(n):
            ramp = 1 - abs(t - middle) / width
            if draws[r, 3] < 0.4:
                # A step: all directions after the middle turn.
                ramp = min(max((t - middle) / width, 0.0), 1.0)
            if ramp > 0:
                yaw[t] += by * ramp
        legal = True
        for t in range(1, n):
            legal &= abs(yaw[t] - yaw[t - 1]) <= reach
        if legal:
            value = _worth(yaw, clear, bearing, half_width)
            if value >= best_value:
                best, best_value = yaw, value
    return best
