from .fit import fit_law as fit_law
from .forms import FORMS as FORMS
from .joint import fit_joint as fit_joint
from .plateau import analyse_plateau as analyse_plateau
