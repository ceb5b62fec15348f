"""An update as one loop over memory, by the system's C compiler.

Operation by operation an update goes over memory some twenty times. torch.compile fuses it as well,
but takes many seconds before the first step; a C compiler takes a fifth of one.
"""

import ctypes
import functools
import logging
import operator
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node

EXPRESSIONS: dict[Any, str] = {
    operator.add: "{} + {}",
    operator.sub: "{} - {}",
    operator.mul: "{} * {}",
    operator.truediv: "{} / {}",
    operator.gt: "{} > {}",
    operator.lt: "{} < {}",
    torch.where: "{} ? {} : {}",
    torch.maximum: "{0} > {1} || {0} != {0} ? {0} : {1}",  # NaN if either is
    "abs": "fabs({})",
    "clamp": "{0} < {1} ? {1} : {0} > {2} ? {2} : {0}",
    "sign": "({0} > 0) - ({0} < 0)",
    "sqrt": "sqrt({})",
}
"""What an update may be made of, in C."""

SOURCE = """
#include <tgmath.h>
typedef %(type)s T;

void step(long first, long last, long n, T *const *tensors, const T *const *numbers) {
    for (long i = first; i < last; i++) {
        %(row)s
        for (long j = 0; j < n; j++) {
            %(element)s
        }
    }
}
"""

# As IEEE 754 has it: no operation is contracted or reordered, so the bits are the same wherever a
# row lies and whoever compiles.
IEEE = ["-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
FLAGS = ["-O3", "-march=native", *IEEE, "-shared", "-fPIC"]

TYPES = {torch.float32: "float", torch.float64: "double"}

log = logging.getLogger(__name__)


def loop(graph: Graph, state: int, dtype: torch.dtype) -> "Loop | None":
    """The update as a loop; None, with a word in the log, where it cannot be compiled.

    Args:
        graph: from (p, g, *state, *coefficients) to (p, *state), elementwise.
        state: how many tensors of state there are.
        dtype: of p, g and state.
    """
    if dtype not in TYPES:
        return None
    try:
        return Loop(_compiled(_source(graph, state, TYPES[dtype])), dtype)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        log.warning("optimizer steps take longer without a C compiler ($CC or cc): %s", reason)
        return None


class Loop:
    """Steps elementwise in place, on the CPU.

    Args:
        step: compiled from SOURCE.
        dtype: of all tensors.
    """

    def __init__(self, step: Callable[..., None], dtype: torch.dtype) -> None:
        self._step, self._dtype = step, dtype

    def __call__(
        self, parameters: Sequence[Sequence[Tensor]], coefficients: Sequence[Tensor]
    ) -> None:
        """One step.

        Args:
            parameters: for each (p, g, *state), [members, n], contiguous; p and state change.
            coefficients: [members], of any type.
        """
        numbers = [c.to(self._dtype).contiguous() for c in coefficients]
        own = _pointers(numbers)
        tensors = [(x[0].shape[1], _pointers(x)) for x in parameters]

        def step(first: int, last: int) -> None:
            for n, pointers in tensors:
                self._step(first, last, n, pointers, own)

        members, threads = len(coefficients[0]), torch.get_num_threads()
        bounds = [members * k // threads for k in range(threads + 1)]
        # ctypes lets the others run while one is in the loop.
        rest = [_pool().submit(step, *ends) for ends in pairwise(bounds[1:])]
        step(0, bounds[1])
        for future in rest:
            future.result()


def _pointers(tensors: Sequence[Tensor]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(tensors))(*(x.data_ptr() for x in tensors))


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="loop")


def _source(graph: Graph, state: int, dtype: str) -> str:
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    (output,) = (node.args[0] for node in graph.nodes if node.op == "output")
    tensors, numbers = inputs[: 2 + state], inputs[2 + state :]
    row = [f"T *restrict at_{x} = tensors[{k}] + i * n;" for k, x in enumerate(tensors)]
    row += [f"const T v_{c} = numbers[{k}][i];" for k, c in enumerate(numbers)]
    element = [f"const T v_{x} = at_{x}[j];" for x in tensors]
    for node in graph.nodes:
        if node.op in ("call_function", "call_method"):
            terms = [f"v_{a}" if isinstance(a, Node) else f"(T){float(a)}" for a in node.args]
            element.append(f"const T v_{node} = {EXPRESSIONS[node.target].format(*terms)};")
    written = (tensors[0], *tensors[2:])
    element += [f"at_{x}[j] = v_{new};" for x, new in zip(written, output, strict=True)]
    lines = {"row": "\n        ".join(row), "element": "\n            ".join(element)}
    return SOURCE % {"type": dtype, **lines}


@functools.cache
def _compiled(source: str) -> Callable[..., None]:
    with tempfile.TemporaryDirectory() as folder:
        library = str(Path(folder) / "step.so")
        command = [os.environ.get("CC", "cc"), *FLAGS, "-x", "c", "-", "-o", library, "-lm"]
        subprocess.run(command, input=source, capture_output=True, text=True, check=True)
        step = ctypes.CDLL(library).step
    pointers = ctypes.POINTER(ctypes.c_void_p)
    step.argtypes = [ctypes.c_long] * 3 + [pointers] * 2
    step.restype = None
    return step
