"""minitorch on taper: `import taper.compat.minitorch as minitorch`, or under its own name for suites
that import it (`taper.compat.install("minitorch")`).

Convolutions are anchored on the left and padded with zeros on the right, as the course has them.
"""

from . import nn, operators, tensor_data, testing
from .module import SGD as SGD, Module as Module, Parameter as Parameter
from .nn import (Conv1dFun as Conv1dFun, Conv2dFun as Conv2dFun, argmax as argmax,
                 avgpool2d as avgpool2d, conv1d as conv1d, conv2d as conv2d, dropout as dropout,
                 logsoftmax as logsoftmax, max as max, maxpool2d as maxpool2d, softmax as softmax,
                 tile as tile)
from .operators import prod as prod
from .scalar import (Scalar as Scalar, central_difference as central_difference,
                     derivative_check as derivative_check)
from .tensor import (CudaOps as CudaOps, FastOps as FastOps, FastTensorBackend as FastTensorBackend,
                     SimpleBackend as SimpleBackend, SimpleOps as SimpleOps, Tensor as Tensor,
                     TensorBackend as TensorBackend, TensorOps as TensorOps,
                     grad_check as grad_check, ones as ones, rand as rand, tensor as tensor,
                     zeros as zeros)
from .tensor_data import (IndexingError as IndexingError, TensorData as TensorData,
                          broadcast_index as broadcast_index,
                          index_to_position as index_to_position,
                          shape_broadcast as shape_broadcast,
                          strides_from_shape as strides_from_shape, to_index as to_index)
from .testing import MathTest as MathTest, MathTestVariable as MathTestVariable
