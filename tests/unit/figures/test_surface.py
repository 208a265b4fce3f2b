"""Values on the cortex: which vertex takes which, how far they spread, and what a viewer sees."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from voxscale.cortex import N_VERTICES, to_vertices
from voxscale.errors import UserError
from voxscale.figures import maps, style, surface


def test_voxels_of_one_vertex_are_averaged_and_missing_ones_skipped():
    found = to_vertices(
        pd.DataFrame(
            {
                "hemisphere": ["left", "left", "lh", "R"],
                "vertex": [5, 5, 6, 7],
                "value": [1.0, 3.0, np.nan, 4.0],
            }
        )
    )
    assert found["left"][5] == 2
    assert np.isnan(found["left"][6])
    assert found["right"][7] == 4
    assert np.isfinite(found["left"]).sum() == 1


def test_a_vertex_beyond_the_mesh_is_reported():
    with pytest.raises(UserError, match="voxel table: a vertex lies outside"):
        to_vertices(pd.DataFrame({"hemisphere": ["left"], "vertex": [10242], "value": [1.0]}))


def test_a_value_reaches_its_neighbours_and_no_further():
    faces = np.array([[0, 1, 2], [1, 2, 3], [2, 3, 4]])
    values = np.array([1.0, np.nan, np.nan, np.nan, np.nan])
    assert np.allclose(surface.spread(values, faces), [1, 1, 1, np.nan, np.nan], equal_nan=True)
    assert np.isfinite(surface.spread(surface.spread(values, faces), faces)).all()
    assert np.isnan(values[1:]).all()


@pytest.mark.parametrize(
    ("hemisphere", "view", "near"), [("left", "lateral", -1), ("left", "medial", 1), ("right", "lateral", 1)]
)
def test_only_faces_that_look_at_the_viewer_are_drawn(hemisphere, view, near):
    _, axes = style.grid()
    values = np.full(N_VERTICES, np.nan)
    surface.draw_hemisphere(axes, values, hemisphere, view, maps.SEQUENTIAL, mpl.colors.Normalize(0, 1))
    triangles = axes.collections[0]._triangulation.triangles
    points, faces, _ = surface.mesh(hemisphere)
    assert 0.3 < len(triangles) / len(faces) < 0.7
    normal = np.cross(
        points[triangles[:, 1]] - points[triangles[:, 0]], points[triangles[:, 2]] - points[triangles[:, 0]]
    )
    assert (normal[:, 0] * near > 0).all()
    # Later ones cover earlier ones, so they must be nearer.
    depth = points[triangles][:, :, 0].mean(1) * near
    assert (np.diff(depth) >= 0).all()
