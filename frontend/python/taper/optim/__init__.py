"""Optimisers, by PyTorch's names; the update of all parameters is one compiled program."""

from . import lr_scheduler as lr_scheduler
from .optimizer import *  # noqa: F401,F403
from .optimizer import Optimizer as Optimizer
