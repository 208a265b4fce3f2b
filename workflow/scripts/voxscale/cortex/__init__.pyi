from .fsaverage import N_VERTICES as N_VERTICES
from .fsaverage import read_fsaverage5 as read_fsaverage5
from .places import locate_voxels as locate_voxels
from .pycortex import NO_PLACES as NO_PLACES
from .pycortex import NOT_INSTALLED as NOT_INSTALLED
from .pycortex import open_database as open_database
from .pycortex import pycortex_installed as pycortex_installed
from .pycortex import transform_of as transform_of
