from .features import StoryFeatures as StoryFeatures
from .features import speech_features as speech_features
from .features import text_features as text_features
from .laws import Law as Law
from .laws import fit_law as fit_law
from .ridge import BandedRidgeCV as BandedRidgeCV
from .ridge import VoxelwiseRidgeCV as VoxelwiseRidgeCV
from .scores import NoiseCeiling as NoiseCeiling
from .scores import noise_ceiling as noise_ceiling
from .stacking import Stack as Stack
from .stacking import stack as stack
from .timeseries import lanczos_resample as lanczos_resample
from .timeseries import zscore as zscore

__version__: str
