"""Geometry on arrays: knows no dataset, no file and no model.

World: metres, +z up. Camera: OpenCV (x right, y down, z forward). A pose is a 4x4 camera-to-world matrix, K a 3x3
matrix, pixel (u, v) covers [u-0.5, u+0.5] x [v-0.5, v+0.5].
"""
