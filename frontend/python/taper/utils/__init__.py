"""Data: `taper.utils.data`."""

from . import data as data
