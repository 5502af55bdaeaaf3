"""A device that pretends to be a GPU: what runs there says `cuda` and is computed on the CPU.

A tensor there has a tensor of the CPU inside and refuses what CUDA refuses: operands in two places,
`numpy()`, and, where a test forbids it, everything that makes the CPU wait. Unlike torch's
FakeTensorMode it knows its numbers, so that whole solves run and are compared with the CPU's, and
slopes are taken, which a torch built without CUDA refuses for fake tensors. The rules are compared
with FakeTensorMode's in `test_pretended.py`. Autograd needs a device that this torch knows: it is
the one of torch's backends that is left to users, and only Python calls it `cuda`.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any, Self
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch._C import _dispatch_has_kernel_for_dispatch_key as _dispatch_has_kernel
from torch.overrides import TorchFunctionMode
from torch.utils import backend_registration
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from mfdsl.runtime import transport

NAME = "pretended"
CUDA = torch.device("cuda", 0)
MEMORY = 8 << 30
aten = torch.ops.aten

if not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
    pytest.skip("this torch takes no device from Python", allow_module_level=True)
backend_registration._setup_privateuseone_for_python_backend(NAME)

# What may move numbers from one place to another.
MOVES = {aten.copy_, aten._to_copy}
INDEXES = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}
# What makes the CPU wait for a GPU: the size of a result, or a branch, hangs on numbers.
WAITS = {
    aten._local_scalar_dense,
    aten.nonzero,
    aten.masked_select,
    aten.bincount,
    aten._unique2,
    aten.unique_dim,
    aten.unique_consecutive,
    aten.equal,
}
OWN = {"mfdsl::w2_plan": transport.w2_plan._init_fn}
# What makes a tensor of lists does so below the modes: it is made on the CPU, then moved.
FROM_LISTS = {torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor}
PLACES = (torch.device, str)
GROUPS = (list, tuple, dict)
ITEMS = {Tensor.__getitem__, Tensor.__setitem__}
MAKES_SPARSE = ("sparse_coo_tensor", "sparse_csr_tensor")
SPARSE = ("coalesce", "to_dense", "indices", "values", "t")


class Misplaced(RuntimeError):
    """Operands in two places, which CUDA refuses."""


class Waited(RuntimeError):
    """The CPU waits for a GPU where a test forbids it."""


@dataclass
class Machine:
    """What the device is told to refuse, and what it saw: how often the CPU read from it, how
    often numbers of the CPU were sent there (a GPU ends what it does before), and what was double.
    """

    waits: bool = True
    waited: int = 0
    sent: int = 0
    doubles: set[str] = field(default_factory=set)


MACHINE = Machine()


class OnDevice(Tensor):
    """A tensor of the pretended device; `held` has its numbers."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> Self:
        layout: dict[str, Any] = {}
        if held.layout == torch.strided:
            layout = {"strides": held.stride(), "storage_offset": held.storage_offset()}
        made: Self = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            **layout,
            dtype=held.dtype,
            device=torch.device(NAME, 0),
        )
        made.held = held
        return made

    def __init__(self, held: Tensor) -> None:
        """All is done by `__new__`."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return CUDA

    @property
    def layout(self) -> torch.layout:  # type: ignore[override]
        return self.held.layout

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return True

    def numpy(self, *, force: bool = False) -> Any:
        """Refused, as by CUDA."""
        if force:
            return self.detach().cpu().numpy()
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def tolist(self) -> Any:
        """The numbers, which the CPU waits for."""
        return self.detach().cpu().tolist()

    def untyped_storage(self) -> Any:
        """The memory, by which tensors that share it are known when they are saved."""
        return self.held.untyped_storage()

    def __repr__(self, **_: object) -> str:
        return f"OnDevice({self.held!r})"

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


class _Named(TorchFunctionMode):
    """Tells torch `pretended` where the program says `cuda`."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.device:
            return func(*args, **kwargs)
        if "device" in kwargs:
            kwargs = {**kwargs, "device": _told(kwargs["device"])}
        for value in args:
            if isinstance(value, PLACES):
                args = tuple(_told(value) for value in args)
                break
        if kwargs and kwargs.get("generator") is not None:
            _check_stream(func, args, kwargs)
        if func in FROM_LISTS:
            return _from_lists(func, args, dict(kwargs))
        if func in ITEMS and isinstance(args[0], OnDevice):
            args = (args[0], _without_lists(args[1]), *args[2:])
        if func is Tensor.to and not isinstance(args[0], OnDevice) and not args[0].requires_grad:
            return _sent(*args, **kwargs)
        if _is_sparse(func, args):
            return _computed(func, args, kwargs)
        return func(*args, **kwargs)


class _Computed(TorchDispatchMode):
    """Catches what makes tensors on the device out of nothing, or moves them there."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and torch.compile takes seconds to load

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


class _Stream(torch.Generator):
    """A generator that draws on the CPU, and says where it was asked to."""

    asked: torch.device

    def __new__(cls, device: Any = "cpu") -> Self:
        made = super().__new__(cls)
        made.asked = torch.device(device)
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.asked


def _is_sparse(func: Any, args: Any) -> bool:
    """Whether a function is about a sparse matrix: torch makes no wrappers of those."""
    name = getattr(func, "__name__", "")
    if name in MAKES_SPARSE:
        return any(isinstance(leaf, OnDevice) for leaf in args)
    first = args[0] if args else None
    if not isinstance(first, OnDevice):
        return False
    if name in SPARSE:
        return first.held.layout != torch.strided
    return name == "to_sparse_csr"


def _from_lists(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    place = kwargs.pop("device", None)
    if func is Tensor.new_tensor:
        like, *args = args
        place = like.device if place is None else place
        func, kwargs = torch.tensor, {"dtype": like.dtype, **kwargs}
    made = func(*args, **kwargs)
    return made if place is None else made.to(_told(place))


def _sent(value: Tensor, *where: Any, **more: Any) -> Tensor:
    """`value.to(...)` of a tensor of the CPU: within operators torch does so below the modes."""
    like = next((place for place in where if isinstance(place, OnDevice)), None)
    if like is not None:
        MACHINE.sent += 1
        return OnDevice(value.to(like.dtype, copy=True))
    places = [*where, more.get("device")]
    if torch.device(NAME, 0) not in places:
        return value.to(*where, **more)
    MACHINE.sent += 1
    kinds = [place for place in (*where, more.get("dtype")) if isinstance(place, torch.dtype)]
    return OnDevice(value.to(*kinds[:1], copy=True) if kinds else value.clone())


def _without_lists(index: Any) -> Any:
    """An index with tensors for lists, which torch would put on the device below the modes."""
    if isinstance(index, tuple):
        return tuple(_without_lists(part) for part in index)
    return torch.tensor(index) if isinstance(index, list) else index


def _told(value: Any) -> Any:
    if isinstance(value, PLACES) and str(value).split(":")[0] == "cuda":
        return torch.device(NAME, 0)
    return value


def _check_stream(func: Any, args: Any, kwargs: dict[str, Any]) -> None:
    """Refuse a generator of another place than that of the tensor."""
    place = str(kwargs.get("device") or ("cpu" if not _any_there(args) else NAME))
    stream = "cpu" if kwargs["generator"].device.type == "cpu" else NAME
    if place.split(":")[0] != stream:
        raise Misplaced(f"{func.__name__}: a generator of {stream} for a tensor of {place}")


def _any_there(group: Any) -> bool:
    return any(isinstance(leaf, OnDevice) for leaf in tree_leaves(group))


@cache
def _rule_of(func: Any) -> tuple[Any, bool]:
    """Our own kernel of an operator, and whether it is made of others."""
    if not isinstance(func, torch._ops.OpOverload):
        return None, False
    return OWN.get(func.name()), _dispatch_has_kernel(func.name(), "CompositeImplicitAutograd")


def _leaves(args: Any, kwargs: dict[str, Any]) -> list[Tensor]:
    """The tensors among operands, of which torch has lists at most: `tree_leaves`, but fast."""
    found: list[Tensor] = []
    for value in (*args, *kwargs.values()) if kwargs else args:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, GROUPS):
            found += [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
    return found


def _computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The result of an operator, on the device if its operands are or it is asked for there."""
    own, composite = _rule_of(func)
    if own is not None:
        with _Computed(), _Named():
            return own(*args, **kwargs)
    if composite:
        return func.decompose(*args, **kwargs)
    leaves = _leaves(args, kwargs)
    there = [leaf for leaf in leaves if isinstance(leaf, OnDevice)]
    packet = getattr(func, "overloadpacket", func)
    asked = kwargs.get("device")
    onto = bool(there) if asked is None else torch.device(asked).type == NAME
    if packet == aten.copy_:
        onto = isinstance(args[0], OnDevice)
    if there and len(there) < len(leaves):
        _check_places(func, packet, args, kwargs)
    if there:
        _check_waiting(packet, args, onto)
    if packet in MOVES and onto and len(there) < len(leaves):
        MACHINE.sent += 1
    if asked is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    inner = {name: _inside(value) for name, value in kwargs.items()}
    found = func(*[_inside(value) for value in args], **inner)
    if there and torch.Tag.inplace_view in getattr(func, "tags", ()):
        with no_dispatch():  # the shape of what is around the numbers changes with theirs
            func(*args, **kwargs)
    known = {id(leaf.held): leaf for leaf in there}
    if isinstance(found, Tensor):
        return _outside(found, known, onto, packet)
    return tree_map(lambda leaf: _outside(leaf, known, onto, packet), found)


def _inside(value: Any) -> Any:
    """The numbers of an operand, or of those in a list."""
    return tree_map(_held, value) if isinstance(value, GROUPS) else _held(value)


def _held(leaf: Any) -> Any:
    return leaf.held if isinstance(leaf, OnDevice) else leaf


def _outside(leaf: Any, known: dict[int, OnDevice], onto: bool, packet: Any) -> Any:
    if not isinstance(leaf, Tensor):
        return leaf
    if id(leaf) in known:
        return known[id(leaf)]
    if not onto:
        return leaf
    if leaf.dtype == torch.float64 and leaf.ndim:
        MACHINE.doubles.add(str(packet))
    return OnDevice(leaf)


def _check_places(func: Any, packet: Any, args: Any, kwargs: dict[str, Any]) -> None:
    """Refuse operands in two places; numbers without axes may come from the CPU pointwise."""
    if packet in MOVES:
        return
    if packet in INDEXES and isinstance(args[0], OnDevice):
        args = (args[0], *(a for a in args[2:] if not (isinstance(a, Tensor) and a.ndim == 0)))
    pointwise = torch.Tag.pointwise in getattr(func, "tags", ())
    inputs = tree_leaves((args, {k: v for k, v in kwargs.items() if k != "out"}))
    outputs = tree_leaves(kwargs.get("out"))
    if str(packet).endswith("_"):
        outputs.append(args[0])
    strangers = [x for x in inputs if _stranger(x) and (x.ndim or not pointwise)]
    strangers += [x for x in outputs if _stranger(x)]
    if strangers:
        shapes = ", ".join(str(list(x.shape)) for x in strangers)
        raise Misplaced(f"{packet}: tensors {shapes} are on the CPU, others on cuda")


def _stranger(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and not isinstance(leaf, OnDevice)


def _check_waiting(packet: Any, args: Any, onto: bool) -> None:
    masks = packet in INDEXES and any(
        isinstance(a, OnDevice) and a.dtype == torch.bool for a in tree_leaves(args[1])
    )
    down = packet in MOVES and not onto
    if packet in WAITS or masks or down:
        MACHINE.waited += 1
        if not MACHINE.waits:
            raise Waited(f"{packet}: the CPU waits for the device")


@contextmanager
def pretended() -> Iterator[Machine]:
    """Within, `cuda` is there, on a machine with one GPU."""
    MACHINE.waits, MACHINE.waited, MACHINE.sent, MACHINE.doubles = True, 0, 0, set()
    properties = SimpleNamespace(total_memory=MEMORY, name=NAME)
    with ExitStack() as stack:
        for name, found in {
            "is_available": lambda: True,
            "device_count": lambda: 1,
            "get_device_name": lambda *_: NAME,
            "get_device_properties": lambda *_: properties,
            "synchronize": lambda *_: None,
            "max_memory_allocated": lambda *_: 0,
            "reset_peak_memory_stats": lambda *_: None,
            "empty_cache": lambda: None,
        }.items():
            stack.enter_context(patch.object(torch.cuda, name, found))
        stack.enter_context(patch.object(torch, "Generator", _Stream))
        stack.enter_context(_Computed())
        stack.enter_context(_Named())
        yield MACHINE


@contextmanager
def without_waiting() -> Iterator[None]:
    """Within, the CPU never reads from the device: one graph could hold all."""
    MACHINE.waits = False
    try:
        yield
    finally:
        MACHINE.waits = True
