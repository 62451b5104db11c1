"""What mypy is told of Reflex: its variables are typed as what they hold, and in a view they are something else."""

from __future__ import annotations

from collections.abc import Callable

from mypy.plugin import AnalyzeTypeContext, AttributeContext, Plugin
from mypy.types import AnyType, Type, TypeOfAny

_VARIABLES = frozenset({"reflex.Var", "reflex_base.vars.base.Var", "reflex.vars.base.Var"})


class ReflexPlugin(Plugin):
    """A `Var` takes any attribute and operator of the browser's; what a class of State is asked for is one. Of an instance it is the value."""

    def get_type_analyze_hook(self, fullname: str) -> Callable[[AnalyzeTypeContext], Type] | None:
        return _anything if fullname in _VARIABLES else None

    def get_class_attribute_hook(self, fullname: str) -> Callable[[AttributeContext], Type] | None:
        owner = fullname.rpartition(".")[0]
        return _variable if owner.startswith("dashboard.") and owner.endswith("State") else None


def _anything(_context: AnalyzeTypeContext) -> Type:
    return AnyType(TypeOfAny.explicit)


def _variable(_context: AttributeContext) -> Type:
    return AnyType(TypeOfAny.explicit)


def plugin(_version: str) -> type[Plugin]:
    return ReflexPlugin
