"""IPython as one trial sees it: the same shell, but its variables are those of the trial.

A line magic and ``!cmd`` reach the notebook through the shell: ``%timeit`` copies the
names around it into ``shell.user_ns``, ``%run -i`` and ``!cmd`` leave names there. In a
trial, which runs behind the notebook's back, that would overwrite what the user works
with. So ``get_ipython()`` in a trial gives a double of the shell that shares everything
with it (configuration, history, magics, aliases) but the namespace.
"""

from __future__ import annotations

import functools
from types import MethodType
from typing import TYPE_CHECKING, Any, NoReturn

from IPython.core.autocall import ExitAutocall

from optuna_nb.errors import ObjectiveError

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell


def give_own_shell(shell: InteractiveShell, namespace: dict[str, Any]) -> None:
    """Let ``get_ipython()`` in a namespace give a double of the shell with that namespace.

    The double is made when it is first asked for. To be used in the thread of the trial.
    """

    @functools.cache
    def get_ipython() -> Any:
        return _double(shell, namespace)

    namespace["get_ipython"] = get_ipython
    for name in ("exit", "quit"):
        if isinstance(namespace.get(name), ExitAutocall):  # not what the user calls so
            namespace[name] = _refusal(name)


def _refusal(name: str) -> Callable[..., NoReturn]:
    """Make what stands for ``exit`` in a trial, where IPython's own would end the kernel."""

    def refuse(*_: object) -> NoReturn:
        msg = (
            f"{name}() in a trial: raise optuna.TrialPruned() to give this trial up,"
            " or call trial.study.stop() to start no other"
        )
        raise ObjectiveError(msg, code="NB207")

    return refuse


def _double(shell: InteractiveShell, namespace: dict[str, Any]) -> Any:
    double = _copy(shell, _class_of_doubles(type(shell)))
    double.user_module = _Module()
    double.user_module.__dict__ = namespace
    double.user_ns = namespace
    double.user_ns_hidden = dict(shell.user_ns_hidden)
    double.of_notebook = shell
    double.owners = {}
    return double


class _Module:
    """Stands for ``__main__``, with the trial's namespace as its names."""


def _copy(it: Any, kind: type) -> Any:
    """Copy an object and none of its parts, past ``__init__``, which would announce it to the shell."""
    copy: Any = object.__new__(kind)
    vars(copy).update(vars(it))
    return copy


@functools.cache
def _class_of_doubles(kind: type) -> type:
    base: Any = kind

    class TrialShell(base):  # type: ignore[misc]
        """A shell whose magics and aliases work on its own namespace."""

        def find_line_magic(self, name: str) -> Any:
            return self._with_this_shell(super().find_line_magic(name))

        def find_cell_magic(self, name: str) -> Any:
            return self._with_this_shell(super().find_cell_magic(name))

        def find_magic(self, name: str, kind: str = "line") -> Any:
            return self._with_this_shell(super().find_magic(name, kind))

        def _find_with_lazy_load(self, kind: str, name: str) -> Any:
            return self._with_this_shell(super()._find_with_lazy_load(kind, name))

        def _with_this_shell(self, magic: Callable[..., Any] | None) -> Any:
            """Bind a magic to a copy of its owner that knows this shell instead of the notebook's."""
            owner = getattr(magic, "__self__", magic)
            if getattr(owner, "shell", None) is not self.of_notebook:
                return magic
            if id(owner) not in self.owners:
                copy = _copy(owner, type(owner))
                if "_trait_values" in vars(copy):  # where ``shell`` is a trait, it is kept in there
                    copy._trait_values = dict(copy._trait_values)  # noqa: SLF001
                copy.shell = self
                self.owners[id(owner)] = copy
            mine = self.owners[id(owner)]
            return mine if owner is magic else MethodType(magic.__func__, mine)  # type: ignore[union-attr]

    return TrialShell
