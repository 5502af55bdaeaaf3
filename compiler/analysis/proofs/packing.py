"""Arrays as text, bit for bit."""

import base64
import binascii
import zlib
from math import prod

import numpy as np
from pydantic import BaseModel, ConfigDict

LARGEST = 1 << 28  # bytes of one array


class PackingError(ValueError):
    """A text that is no array."""


class Packed(BaseModel):
    """An array: its shape, the name of its type, and its bytes, compressed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: tuple[int, ...]
    kind: str
    data: str


def pack(array: np.ndarray) -> Packed:
    """The text of an array of numbers."""
    plain = np.ascontiguousarray(array)
    kind = plain.dtype.newbyteorder("<").str
    data = base64.b64encode(zlib.compress(plain.astype(kind).tobytes(), 9)).decode()
    return Packed(shape=plain.shape, kind=kind, data=data)


def unpack(packed: Packed) -> np.ndarray:
    """The array of a text.

    Raises:
        PackingError: the text is damaged, or would be too large.
    """
    if packed.kind not in ("<f8", "<i8", "<i2"):
        raise PackingError(f"an array of `{packed.kind}`")
    size = prod(packed.shape) * np.dtype(packed.kind).itemsize
    if not 0 <= size <= LARGEST or any(s < 0 for s in packed.shape):
        raise PackingError(f"an array of {size} bytes")
    try:
        reader = zlib.decompressobj()
        raw = reader.decompress(base64.b64decode(packed.data, validate=True), size + 1)
    except (binascii.Error, zlib.error) as error:
        raise PackingError(str(error)) from None
    if len(raw) != size:
        raise PackingError(f"{len(raw)} bytes in the place of {size}")
    return np.frombuffer(raw, packed.kind).reshape(packed.shape)
