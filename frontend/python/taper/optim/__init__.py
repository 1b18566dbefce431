"""Optimisers, by PyTorch's names; the update of all parameters is one compiled program."""

from . import lr_scheduler  # noqa: F401
from .optimizer import *  # noqa: F401,F403
from .optimizer import Optimizer  # noqa: F401
