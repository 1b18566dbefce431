"""Modules, by PyTorch's names."""

from . import functional, init  # noqa: F401
from .layers import *  # noqa: F401,F403
from .module import Module, Parameter  # noqa: F401
from .simple import *  # noqa: F401,F403
from . import utils  # noqa: F401
