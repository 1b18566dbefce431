# Written by stubs.py, which looks at the loaded package; --check compares.
import builtins
from typing import Any
from . import autograd as autograd
from . import creation as creation
from . import files as files
from . import indexing as indexing
from . import moves as moves
from . import nn as nn
from . import onnx as onnx
from . import ops as ops
from . import optim as optim
from . import plot as plot
from . import reduce as reduce
from . import scalar as scalar
from . import utils as utils
from ._core import Error as Error
from ._dtype import dtype as dtype
from ._tensor import Size as Size
from ._tensor import Tensor as Tensor
from ._tensor import as_tensor as as_tensor
from .autograd import enable_grad as enable_grad
from .autograd import grad as grad
from .autograd import hessian as hessian
from .autograd import inference_mode as inference_mode
from .autograd import is_grad_enabled as is_grad_enabled
from .autograd import jacobian as jacobian
from .autograd import jvp as jvp
from .autograd import no_grad as no_grad
from .autograd import set_grad_enabled as set_grad_enabled
from .autograd import value_and_grad as value_and_grad
from .autograd import vjp as vjp
from .compile import compile as compile
from .creation import arange as arange
from .creation import asarray as asarray
from .creation import bernoulli as bernoulli
from .creation import empty as empty
from .creation import empty_like as empty_like
from .creation import eye as eye
from .creation import from_dlpack as from_dlpack
from .creation import from_numpy as from_numpy
from .creation import full as full
from .creation import full_like as full_like
from .creation import initial_seed as initial_seed
from .creation import linspace as linspace
from .creation import logspace as logspace
from .creation import manual_seed as manual_seed
from .creation import multinomial as multinomial
from .creation import normal as normal
from .creation import ones as ones
from .creation import ones_like as ones_like
from .creation import rand as rand
from .creation import rand_like as rand_like
from .creation import randint as randint
from .creation import randn as randn
from .creation import randn_like as randn_like
from .creation import randperm as randperm
from .creation import seed as seed
from .creation import tensor as tensor
from .creation import tri as tri
from .creation import zeros as zeros
from .creation import zeros_like as zeros_like
from .custom import custom as custom
from .files import load as load
from .files import save as save
from .moves import broadcast_to as broadcast_to
from .moves import cat as cat
from .moves import chunk as chunk
from .moves import concat as concat
from .moves import concatenate as concatenate
from .moves import diag as diag
from .moves import diagonal as diagonal
from .moves import expand as expand
from .moves import expand_as as expand_as
from .moves import flatten as flatten
from .moves import flip as flip
from .moves import index_add as index_add
from .moves import index_copy as index_copy
from .moves import index_select as index_select
from .moves import meshgrid as meshgrid
from .moves import movedim as movedim
from .moves import narrow as narrow
from .moves import pad_axes as pad_axes
from .moves import permute as permute
from .moves import ravel as ravel
from .moves import repeat as repeat
from .moves import repeat_interleave as repeat_interleave
from .moves import reshape as reshape
from .moves import roll as roll
from .moves import rot90 as rot90
from .moves import scatter as scatter
from .moves import scatter_add as scatter_add
from .moves import scatter_reduce as scatter_reduce
from .moves import select as select
from .moves import split as split
from .moves import squeeze as squeeze
from .moves import stack as stack
from .moves import swapaxes as swapaxes
from .moves import t as t
from .moves import take_along_dim as take_along_dim
from .moves import tile as tile
from .moves import trace as trace
from .moves import transpose as transpose
from .moves import tril as tril
from .moves import triu as triu
from .moves import unbind as unbind
from .moves import unflatten as unflatten
from .moves import unsqueeze as unsqueeze
from .moves import view as view
from .moves import view_as as view_as
from .nn import functional as functional
from .ops import abs as abs
from .ops import absolute as absolute
from .ops import acos as acos
from .ops import acosh as acosh
from .ops import add as add
from .ops import addcdiv as addcdiv
from .ops import addcmul as addcmul
from .ops import addmm as addmm
from .ops import allclose as allclose
from .ops import asin as asin
from .ops import asinh as asinh
from .ops import atan as atan
from .ops import atan2 as atan2
from .ops import atanh as atanh
from .ops import bitwise_and as bitwise_and
from .ops import bitwise_left_shift as bitwise_left_shift
from .ops import bitwise_not as bitwise_not
from .ops import bitwise_or as bitwise_or
from .ops import bitwise_right_shift as bitwise_right_shift
from .ops import bitwise_xor as bitwise_xor
from .ops import bmm as bmm
from .ops import ceil as ceil
from .ops import clamp as clamp
from .ops import clip as clip
from .ops import copysign as copysign
from .ops import cos as cos
from .ops import cosh as cosh
from .ops import deg2rad as deg2rad
from .ops import div as div
from .ops import dot as dot
from .ops import einsum as einsum
from .ops import eq as eq
from .ops import equal as equal
from .ops import erf as erf
from .ops import erfc as erfc
from .ops import erfinv as erfinv
from .ops import exp as exp
from .ops import exp2 as exp2
from .ops import expm1 as expm1
from .ops import fix as fix
from .ops import floor as floor
from .ops import floor_divide as floor_divide
from .ops import fmod as fmod
from .ops import frac as frac
from .ops import ge as ge
from .ops import gt as gt
from .ops import hypot as hypot
from .ops import isclose as isclose
from .ops import isfinite as isfinite
from .ops import isinf as isinf
from .ops import isnan as isnan
from .ops import kron as kron
from .ops import le as le
from .ops import lerp as lerp
from .ops import log as log
from .ops import log10 as log10
from .ops import log1p as log1p
from .ops import log2 as log2
from .ops import logaddexp as logaddexp
from .ops import logical_and as logical_and
from .ops import logical_not as logical_not
from .ops import logical_or as logical_or
from .ops import logical_xor as logical_xor
from .ops import logit as logit
from .ops import lt as lt
from .ops import masked_fill as masked_fill
from .ops import matmul as matmul
from .ops import maximum as maximum
from .ops import minimum as minimum
from .ops import mm as mm
from .ops import mul as mul
from .ops import mv as mv
from .ops import nan_to_num as nan_to_num
from .ops import ne as ne
from .ops import neg as neg
from .ops import negative as negative
from .ops import outer as outer
from .ops import pow as pow
from .ops import rad2deg as rad2deg
from .ops import reciprocal as reciprocal
from .ops import relu as relu
from .ops import remainder as remainder
from .ops import round as round
from .ops import rsqrt as rsqrt
from .ops import sigmoid as sigmoid
from .ops import sign as sign
from .ops import sin as sin
from .ops import sinc as sinc
from .ops import sinh as sinh
from .ops import sqrt as sqrt
from .ops import square as square
from .ops import sub as sub
from .ops import tan as tan
from .ops import tanh as tanh
from .ops import to as to
from .ops import trunc as trunc
from .ops import type_as as type_as
from .ops import where as where
from .ops import xlogy as xlogy
from .progress import progress as progress
from .reduce import ValuesIndices as ValuesIndices
from .reduce import all as all
from .reduce import amax as amax
from .reduce import amin as amin
from .reduce import any as any
from .reduce import argmax as argmax
from .reduce import argmin as argmin
from .reduce import argsort as argsort
from .reduce import bincount as bincount
from .reduce import count_nonzero as count_nonzero
from .reduce import cummax_values as cummax_values
from .reduce import cummin_values as cummin_values
from .reduce import cumprod as cumprod
from .reduce import cumsum as cumsum
from .reduce import gather as gather
from .reduce import kthvalue as kthvalue
from .reduce import log_softmax as log_softmax
from .reduce import logcumsumexp as logcumsumexp
from .reduce import logsumexp as logsumexp
from .reduce import max as max
from .reduce import mean as mean
from .reduce import median as median
from .reduce import min as min
from .reduce import nonzero as nonzero
from .reduce import norm as norm
from .reduce import prod as prod
from .reduce import quantile as quantile
from .reduce import searchsorted as searchsorted
from .reduce import softmax as softmax
from .reduce import sort as sort
from .reduce import std as std
from .reduce import std_mean as std_mean
from .reduce import sum as sum
from .reduce import topk as topk
from .reduce import unique as unique
from .reduce import var as var
from .reduce import var_mean as var_mean
from .scalar import Value as Value
__version__: builtins.str
bfloat16: dtype
bool: dtype
bool_: dtype
def is_tensor(x: Any) -> Any: ...
def numel(x: Any) -> Any: ...
double: dtype
e: builtins.float
float16: dtype
float32: dtype
float64: dtype
float: dtype
half: dtype
inf: builtins.float
int16: dtype
int32: dtype
int64: dtype
int8: dtype
int: dtype
long: dtype
nan: builtins.float
pi: builtins.float
uint16: dtype
uint32: dtype
uint64: dtype
uint8: dtype
