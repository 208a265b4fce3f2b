from .banded import describe_banded as describe_banded
from .banded import fit_banded as fit_banded
from .data import CellData as CellData
from .data import TrainingResponses as TrainingResponses
from .fit import fit_cell as fit_cell
from .moments import MomentsFile as MomentsFile
from .predict import predict_cell as predict_cell
from .predict import weigh_cell as weigh_cell
