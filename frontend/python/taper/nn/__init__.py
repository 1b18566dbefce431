"""Modules, by PyTorch's names."""

from . import functional as functional, init as init
from .layers import *  # noqa: F401,F403
from .module import Module as Module, Parameter as Parameter
from .simple import *  # noqa: F401,F403
from . import utils as utils
