from .standardize import scale as scale
from .standardize import zscore as zscore
