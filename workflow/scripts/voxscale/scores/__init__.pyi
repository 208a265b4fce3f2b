from .artifact import write_artifact as write_artifact
from .ceiling import write_ceiling as write_ceiling
from .cells import cell_scores as cell_scores
from .cells import check_same_test as check_same_test
from .gather import gather_scores as gather_scores
from .layers import write_layers as write_layers
from .room import write_room as write_room
from .voxel_sets import read_sets as read_sets
