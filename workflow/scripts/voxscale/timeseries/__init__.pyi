from .lanczos import lanczos_resample as lanczos_resample
from .lanczos import lanczos_weights as lanczos_weights
from .standardize import PooledScale as PooledScale
from .standardize import join_scaled as join_scaled
from .standardize import scale as scale
from .standardize import zscore as zscore
