"""Geometry on arrays, independent of datasets, files and models.

World: metres, +z up. Camera: OpenCV (x right, y down, z forward). A pose is a 4x4 camera-to-world matrix, K a 3x3
matrix, pixel (u, v) covers [u-0.5, u+0.5] x [v-0.5, v+0.5].

Letters in shapes: n points, v vertices and f faces of a mesh, h and w height and width of a picture. Tests call every
function with its shapes checked; at run time the annotations cost nothing.
"""
