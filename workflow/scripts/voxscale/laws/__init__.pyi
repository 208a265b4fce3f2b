from .api import Law as Law
from .api import fit_law as fit_law
from .fit import write_law as write_law
from .forms import FORMS as FORMS
from .joint import write_joint as write_joint
from .plateau import write_plateau as write_plateau
from .points import POOLED as POOLED
