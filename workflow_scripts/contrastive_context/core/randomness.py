"""Random numbers that depend on what is drawn for whom, not on the order of drawing.

Every number is a hash of (stream, id, counter), so that a context is the same whatever the row order, the number of
workers or the part of the corpus that a job handles. The mixer is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): a
Weyl sequence with the golden ratio as increment, each term scrambled by multiply-xorshift. All arithmetic is modulo
2⁶⁴ on whole arrays.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_DIGITS = np.full(256, 255, dtype=np.uint8)
_DIGITS[np.frombuffer(b"0123456789abcdef", dtype=np.uint8)] = np.arange(16)


def id_bits(ids: Sequence[str] | pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return the 64 bits of ids of 16 hexadecimal digits, uint64 of the same length; their order is the ids' order.

    Raises:
        ValueError: an id is not 16 lower-case hexadecimal digits.
    """
    ids = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else pa.array(ids, pa.string())
    if len(ids) == 0:
        return np.zeros(0, dtype=np.uint64)
    try:
        packed = ids.cast(pa.binary()).cast(pa.binary(16))
    except pa.ArrowInvalid as error:
        raise ValueError("ids must be 16 hexadecimal digits each") from error
    text = np.frombuffer(packed.buffers()[1], dtype=np.uint8)[16 * packed.offset :][: 16 * len(ids)]
    digits = _DIGITS[text]
    if ids.null_count or digits.max() > 15:
        raise ValueError("ids must be 16 lower-case hexadecimal digits each")
    return (digits[::2] << 4 | digits[1::2]).view(">u8").astype(np.uint64)


def stream(*names: object) -> np.uint64:
    """Return the key of a stream of random numbers, a hash of its names (purpose, seed, task, …)."""
    digest = hashlib.sha256("\x1f".join(map(str, names)).encode()).digest()
    return np.uint64(int.from_bytes(digest[:8], "little"))


@np.errstate(over="ignore")  # numpy warns for scalars only; wrapping round is meant
def mix(values: np.ndarray) -> np.ndarray:
    """Scramble uint64 values one to one (SplitMix64's finaliser)."""
    values = (values ^ (values >> np.uint64(30))) * _FIRST
    values = (values ^ (values >> np.uint64(27))) * _SECOND
    return values ^ (values >> np.uint64(31))


def states(key: np.uint64, bits: np.ndarray) -> np.ndarray:
    """Return one generator state per id for a stream: uint64 of the shape of ``bits``."""
    return mix(bits ^ key)


@np.errstate(over="ignore")
def numbers(state: np.ndarray, counter: int) -> np.ndarray:
    """Return the random 64 bits number ``counter`` (from 0) of each state."""
    step = np.uint64((counter + 1) * int(_GOLDEN) & 0xFFFFFFFFFFFFFFFF)
    return mix(state + step)


def uniform(bits: np.ndarray) -> np.ndarray:
    """Turn random 64 bits into float64 in [0, 1), using the upper 53."""
    return (bits >> np.uint64(11)) * 2.0**-53


def below(bits: np.ndarray, bound: np.ndarray | int) -> np.ndarray:
    """Turn random 64 bits into int64 in [0, bound): ⌊bits·bound / 2⁶⁴⌋ without rounding; bound in [1, 2³¹].

    A value's probability differs from 1/bound by less than 2⁻⁶⁴.
    """
    bound = np.asarray(bound).astype(np.uint64)
    return (((bits >> _32) * bound + ((bits & _LOW) * bound >> _32)) >> _32).astype(np.int64)


def shuffled(key: np.uint64, bits: np.ndarray, width: int) -> np.ndarray:
    """Return one random order of ``width`` slots per id: int64 [len(bits), width]."""
    keys = np.empty((len(bits), width), dtype=np.uint64)
    for slot in range(width):
        keys[:, slot] = numbers(states(key, bits), slot)
    return np.argsort(keys, axis=1, kind="stable")


def ranking(state: np.uint64 | np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Return a random order of the ids in ``bits`` for one state; leaving ids out does not change the others' order."""
    return np.argsort(mix(bits ^ state), kind="stable")
