from .page import write_report as write_report
from .warnings import log_notes as log_notes
