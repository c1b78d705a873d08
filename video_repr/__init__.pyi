# What `video_repr` has, and where it is imported from when it is first used.
from . import configs as configs
from . import data as data
from . import errors as errors
from . import evaluation as evaluation
from . import export as export
from . import layers as layers
from . import losses as losses
from . import metrics as metrics
from . import models as models
from . import optimizers as optimizers
from . import precision as precision
from . import report as report
from . import training as training
from . import transfer as transfer
from . import visualization as visualization
from .errors import InputError as InputError
from .export import SavedModelEncoder as SavedModelEncoder
from .export import export_encoder as export_encoder
from .layers import PeepholeConvLSTM as PeepholeConvLSTM
from .layers import PeepholeConvLSTMCell as PeepholeConvLSTMCell
from .layers import PeepholeLSTM as PeepholeLSTM
from .layers import PeepholeLSTMCell as PeepholeLSTMCell
from .losses import BceSumPerFrame as BceSumPerFrame
from .losses import CrossEntropySumOverSteps as CrossEntropySumOverSteps
from .losses import HalfSsePerFrame as HalfSsePerFrame
from .models import ActionClassifier as ActionClassifier
from .models import ConvDecoder as ConvDecoder
from .models import ConvEncoder as ConvEncoder
from .models import Decoder as Decoder
from .models import Encoder as Encoder
from .models import VideoSeq2Seq as VideoSeq2Seq

__version__: str
