from .artifact import measure_artifact as measure_artifact
from .ceiling import estimate_ceiling as estimate_ceiling
from .gather import gather_scores as gather_scores
from .layers import profile_layers as profile_layers
from .room import measure_room as measure_room
from .voxel_sets import choose_sets as choose_sets
from .voxel_sets import read_sets as read_sets
