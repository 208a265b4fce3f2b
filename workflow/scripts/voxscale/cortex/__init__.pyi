from .fsaverage import N_VERTICES as N_VERTICES
from .fsaverage import read_fsaverage5 as read_fsaverage5
from .pycortex import NO_PLACES as NO_PLACES
from .pycortex import installed as installed
from .pycortex import open_database as open_database
