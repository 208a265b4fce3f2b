from .pycortex import NO_PLACES as NO_PLACES
from .pycortex import installed as installed
from .pycortex import open_database as open_database
