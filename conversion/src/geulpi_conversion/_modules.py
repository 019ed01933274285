"""What an estimator's classes and functions come from, and how those of the user's own travel.

A pickle names classes and functions by their module. Modules of the standard library and of
installed packages a server has, too. The user's own it has not: a script, a notebook, a file beside
them, a project that is installed as editable. Their classes and functions are written into the
pickle themselves, by cloudpickle.
"""

from __future__ import annotations

import functools
import importlib.metadata
import io
import site
import sys
import sysconfig
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pickle import PickleBuffer
from typing import Any

import cloudpickle
import numpy as np

SCRIPT = ("__main__", "__mp_main__")  # the latter is multiprocessing's name for the former
UFUNC = np.core._ufunc_reconstruct  # type: ignore[attr-defined]  # noqa: SLF001 -- numpy's pickles name it


@dataclass(frozen=True)
class Pickled:
    """An estimator as a pickle that stands alone.

    Attributes:
        stream: the pickle.
        own: modules of the user's own, parts of which are in it.
        others: modules that it names, and needs where it is loaded.
    """

    stream: bytes
    own: frozenset[str]
    others: frozenset[str]


def pickled(
    estimator: Any, buffer_callback: Callable[[PickleBuffer], object] | None = None
) -> Pickled:
    """Pickle an estimator with what it uses of the user's own modules.

    Args:
        estimator: any object.
        buffer_callback: as `pickle.Pickler` takes it: sees arrays, and may keep them back.

    Raises:
        ValueError: it does not pickle; what is in the way, and the remedy.
    """
    file = io.BytesIO()
    pickler = _Pickler(file, buffer_callback)
    try:
        pickler.dump(estimator)
    except Exception as error:
        raise ValueError(_why_not(pickler.own, error)) from error
    finally:
        pickler.forget()
    return Pickled(file.getvalue(), frozenset(pickler.own), frozenset(pickler.others))


def is_own(module: str) -> bool:
    """Whether a module is the user's own: not of the standard library or an installed package."""
    if module in SCRIPT:
        return True
    while module:
        if module in sys.stdlib_module_names:
            return False
        if file := getattr(sys.modules.get(module), "__file__", None):
            return not any(Path(file).is_relative_to(folder) for folder in _installed())
        module = module.rpartition(".")[0]  # made at run time, by the one above
    return True


def distributions(modules: frozenset[str]) -> frozenset[str]:
    """Return the distributions that brought installed modules."""
    brought = _distributions()
    packages = {module.partition(".")[0] for module in modules}
    return frozenset(brought[package][0] for package in packages if package in brought)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it has no types
    """Tells of the modules that it meets, and writes out what is of the user's own."""

    def __init__(
        self, file: io.BytesIO, buffer_callback: Callable[[PickleBuffer], object] | None
    ) -> None:
        super().__init__(file, protocol=5, buffer_callback=buffer_callback)
        self.own: set[str] = set()
        self.others: set[str] = set()
        self._registered: list[types.ModuleType] = []

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, np.ufunc) and (home := _home(obj)):
            self._meet(home)
            return UFUNC, (home, obj.__name__)
        if isinstance(obj, types.ModuleType):
            self._meet(obj.__name__)
        elif isinstance(obj, type | types.FunctionType | types.BuiltinFunctionType):
            self._meet(obj.__module__)
        return super().reducer_override(obj)

    def forget(self) -> None:
        """Undo what cloudpickle was told for this pickle."""
        for module in self._registered:
            cloudpickle.unregister_pickle_by_value(module)

    def _meet(self, name: str | None) -> None:
        if not name or name in self.own or name in self.others:
            return
        if not is_own(name):
            self.others.add(name)
            return
        self.own.add(name)
        module = sys.modules.get(name)
        if module is not None and name not in cloudpickle.list_registry_pickle_by_value():
            cloudpickle.register_pickle_by_value(module)
            self._registered.append(module)


def _home(ufunc: np.ufunc) -> str | None:
    """Return an installed module that has a numpy function, which does not tell its own.

    Pickle takes the first module that has it, be it the user's script that imported it.
    """
    name = ufunc.__name__
    homes = [
        module
        for module, content in list(sys.modules.items())
        if getattr(content, "__dict__", {}).get(name) is ufunc and not is_own(module)
    ]
    return min(homes, key=len, default=None)  # the shortest is the public one


def _why_not(own: set[str], error: Exception) -> str:
    why = f"it can't be pickled: {error}"
    if not own:
        return why
    named = ", ".join(sorted(own))
    return (
        f"{why}. What it uses of {named} has to travel with it; make that a package, and install "
        "it here and in the server's environment, or keep out of it what can't be pickled"
    )


@functools.cache
def _installed() -> tuple[Path, ...]:
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    paths |= {*site.getsitepackages(), site.getusersitepackages()}
    return tuple(map(Path, paths))


@functools.cache
def _distributions() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())
