from .card import Terms as Terms
from .evaluate import evaluate_export as evaluate_export
from .run import export_run as export_run
from .saved_model import export_encoder as export_encoder
from .saved_model_encoder import SavedModelEncoder as SavedModelEncoder
