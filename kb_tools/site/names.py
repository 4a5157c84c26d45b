"""Which names in a file mean something of its top level: the ground of links in shown code, and of flattened files."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from kb_tools.methods.layers import PACKAGE

Target = tuple[str, str]
"""A dotted module of the package, and a name there; "" is the module itself."""
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass(frozen=True)
class Use:
    """A name that is not local where it stands.

    node: the name, or what it is an attribute of (`ddpm.loss` as a whole).  attribute: "loss" then, else "".
    hidden: the names that are local there.
    """

    node: ast.Name | ast.Attribute
    name: str
    attribute: str
    hidden: frozenset[str]


def uses(statement: ast.stmt) -> Iterator[Use]:
    """All uses in a statement of a module's top level, whatever they mean; those inside f-strings are left out."""
    yield from _visit(statement, frozenset(), frozenset())


def imported(body: list[ast.stmt]) -> dict[str, Target]:
    """What the names mean that the statements of a file import from the package."""
    found: dict[str, Target] = {}
    for node in body:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level and of_package(node.module):
            found |= {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.asname: (alias.name, "") for alias in node.names if alias.asname and of_package(alias.name)}
    return found


def defined(tree: ast.Module) -> dict[str, int]:
    """Name -> line of what defines it at the top level: a function, a class, an assignment."""
    found: dict[str, int] = {}
    for node in tree.body:
        for name in definitions(node):
            found.setdefault(name, node.lineno)
    return found


def definitions(node: ast.stmt) -> list[str]:
    """The names that a statement defines; an import defines none."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [inner.id for target in targets for inner in ast.walk(target) if isinstance(inner, ast.Name)]


def of_package(module: str) -> bool:
    return module.split(".")[0] == PACKAGE


def _visit(node: ast.AST, hidden: frozenset[str], beneath: frozenset[str]) -> Iterator[Use]:
    """hidden: names local here.  beneath: those of them that a function defined here sees too, not a class's own."""
    if isinstance(node, ast.JoinedStr):
        return  # before Python 3.12 its parts do not know where they stand
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        if node.value.id not in hidden:
            yield Use(node, node.value.id, node.attr, hidden)
    elif isinstance(node, ast.Name):
        if node.id not in hidden:
            yield Use(node, node.id, "", hidden)
    elif isinstance(node, _Function):
        inside = beneath | _bound(node)
        body = node.body if isinstance(node.body, list) else [node.body]
        for child in ast.iter_child_nodes(node):
            scope = (inside, inside) if any(child is part for part in body) else (hidden, beneath)
            yield from _visit(child, *scope)
    elif isinstance(node, ast.ClassDef):
        own = frozenset(name for part in node.body for name in definitions(part))
        for child in ast.iter_child_nodes(node):
            within = any(child is part for part in node.body)
            yield from _visit(child, hidden | own if within else hidden, beneath)
    elif isinstance(node, _Comprehension):
        targets = [inner for part in node.generators for inner in ast.walk(part.target)]
        more = frozenset(inner.id for inner in targets if isinstance(inner, ast.Name))
        for child in ast.iter_child_nodes(node):
            yield from _visit(child, hidden | more, beneath | more)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _visit(child, hidden, beneath)


def _bound(function: _Function) -> frozenset[str]:
    """Parameters, and what the body of a function binds; what functions inside it bind is theirs."""
    arguments = function.args
    found = {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    found |= {a.arg for a in (arguments.vararg, arguments.kwarg) if a}
    queue: list[ast.AST] = list(function.body) if isinstance(function.body, list) else []
    for node in queue:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
            continue
        if isinstance(node, ast.Lambda | _Comprehension):
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
        queue += ast.iter_child_nodes(node)
    return frozenset(found)
