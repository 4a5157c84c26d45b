"""One small mistake at a time, in a module's syntax tree.

The mistakes are those people make in this field: a sign, a dropped term or factor, a lost square root, t off by one,
two arguments swapped, a bound that includes too much, a mean for a sum, a default that is not the paper's.
Annotations, docstrings, imports, error messages and decorators are left alone: no test should depend on them.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

Path = tuple[tuple[str, int | None], ...]

OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
# Calls that change a value and not its type: without them the code still runs.
DROPPED = frozenset(
    [
        "abs",
        "square",
        "sqrt",
        "rsqrt",
        "exp",
        "log",
        "log2",
        "neg",
        "sin",
        "cos",
        "tanh",
        "sigmoid",
        "softmax",
        "cumsum",
        "cumprod",
        "clamp",
        "clamp_min",
        "clamp_max",
        "detach",
        "flip",
        "round",
        "floor",
        "ceil",
        "sum",
        "mean",
        "unique",
        "reversed",
        "transpose",
        "silu",
        "relu",
        "dropout",
        "normalize",
    ]
)
RENAMED = {
    "sum": "mean",
    "mean": "sum",
    "sin": "cos",
    "cos": "sin",
    "min": "max",
    "max": "min",
    "amin": "amax",
    "amax": "amin",
    "zeros_like": "ones_like",
    "ones_like": "zeros_like",
    "zeros": "ones",
    "ones": "zeros",
    "cumsum": "cumprod",
    "cumprod": "cumsum",
    "clamp_min": "clamp_max",
    "clamp_max": "clamp_min",
    "floor": "ceil",
    "ceil": "floor",
}
COMMUTATIVE = frozenset(["max", "min", "maximum", "minimum", "isinstance"])
COUNTERS = frozenset(["t", "s", "T", "i", "k", "n", "steps"])
KEPT_KEYWORDS = frozenset(["device", "desc", "progress"])  # no test on a CPU can miss them
UNTOUCHED = frozenset(["annotation", "returns", "decorator_list", "type_params"])


@dataclass(frozen=True)
class Mutant:
    """id: function, change and statement: the same from run to run while these stay.  line: in the file, to read."""

    id: str
    line: int
    path: Path
    replacement: ast.AST

    def plant(self, tree: ast.Module) -> ast.Module:
        """A copy of the tree with this one mistake."""
        changed = deepcopy(tree)
        parent: ast.AST = changed
        for field, index in self.path[:-1]:
            parent = _child(parent, field, index)
        field, index = self.path[-1]
        if index is None:
            setattr(parent, field, deepcopy(self.replacement))
        else:
            getattr(parent, field)[index] = deepcopy(self.replacement)
        return ast.fix_missing_locations(changed)


def mutants(tree: ast.Module) -> list[Mutant]:
    """Every mutant of a module, in the order of the file."""
    seen: Counter[str] = Counter()
    found = []
    for path, node, function, statement in _walk(tree, (), "", tree):
        for replacement in _variants(node):
            if ast.dump(replacement) == ast.dump(node):
                continue
            after = "nothing" if isinstance(replacement, ast.Pass) else _text(replacement)
            key = f"{function or 'module'}: {_text(node)} -> {after}"
            if _text(statement) != _text(node):
                key += f" in: {_text(statement)}"
            seen[key] += 1
            name = key if seen[key] == 1 else f"{key} (#{seen[key]})"
            found.append(Mutant(name, getattr(node, "lineno", 1), path, ast.copy_location(replacement, node)))
    return found


def _walk(node: ast.AST, path: Path, function: str, statement: ast.AST) -> Iterator[tuple[Path, ast.AST, str, ast.AST]]:
    """Each node that may be mutated, with its path from the root, the function and the statement it stands in."""
    if _untouched(node):
        return
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        function = f"{function}.{node.name}" if function else node.name
    if isinstance(node, ast.stmt):
        statement = node
    yield path, node, function, statement
    for field, value in ast.iter_fields(node):
        if field in UNTOUCHED:
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST):
                yield from _walk(child, (*path, (field, index)), function, statement)


def _untouched(node: ast.AST) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Raise | ast.JoinedStr):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True  # a docstring
    return isinstance(node, ast.If) and _text(node.test).startswith("__name__ ==")


def _variants(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.BinOp(left=left, op=op, right=right) if not (_is_text(left) or _is_text(right)):
            yield from _of_operation(left, op, right)
        case ast.UnaryOp(op=ast.USub() | ast.Not() | ast.Invert(), operand=operand):
            yield operand
        case ast.AugAssign(target=target, op=op, value=value):
            if type(op) in OPERATORS:
                yield ast.AugAssign(target=target, op=OPERATORS[type(op)](), value=value)
            yield ast.Pass()
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()
        case ast.Compare(left=left, ops=ops, comparators=right):
            for place, op in enumerate(ops):
                for other in COMPARISONS[type(op)]:
                    yield ast.Compare(left=left, ops=[*ops[:place], other(), *ops[place + 1 :]], comparators=right)
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(op=ast.Or() if isinstance(op, ast.And) else ast.And(), values=values)
        case ast.IfExp(body=body, orelse=orelse):
            yield from (body, orelse)
        case ast.If(body=body, orelse=orelse):
            for forced in (True, False):
                yield ast.If(test=ast.Constant(forced), body=body, orelse=orelse)
        case ast.Constant(value=value):
            yield from _of_constant(value)
        case ast.Subscript(value=value, slice=index, ctx=ast.Load()):
            yield from _of_index(value, index)
        case ast.Call():
            yield from _of_call(node)
        case ast.Attribute(value=value, attr="mT", ctx=ast.Load()):
            yield value


def _of_operation(left: ast.expr, op: ast.operator, right: ast.expr) -> Iterator[ast.expr]:
    """Another operator; one of the two terms or factors alone."""
    if isinstance(op, ast.MatMult):
        yield ast.BinOp(left=right, op=op, right=left)
        return
    if type(op) in OPERATORS:
        yield ast.BinOp(left=left, op=OPERATORS[type(op)](), right=right)
    yield left
    if isinstance(op, ast.Add | ast.Sub | ast.Mult | ast.BitAnd | ast.BitOr):
        yield right


def _of_constant(value: object) -> Iterator[ast.expr]:
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield ast.Constant(value + 1)
        yield ast.Constant(value - 1)
    elif isinstance(value, float):
        yield ast.Constant(2 * value if value else 1.0)


def _of_index(value: ast.expr, index: ast.expr) -> Iterator[ast.expr]:
    """A slice without one of its ends; a counter off by one."""
    if isinstance(index, ast.Slice):
        for end in ("lower", "upper", "step"):
            if getattr(index, end) is not None:
                ends = {"lower": index.lower, "upper": index.upper, "step": index.step, end: None}
                yield ast.Subscript(value=value, slice=ast.Slice(**ends), ctx=ast.Load())
    for shifted in _off_by_one(index):
        yield ast.Subscript(value=value, slice=shifted, ctx=ast.Load())


def _of_call(call: ast.Call) -> Iterator[ast.expr]:
    """Neighbouring arguments swapped, a counter off by one, an option left out, the call itself left out or another."""
    args, keywords, func = call.args, call.keywords, call.func

    def like(func: ast.expr = func, args: list[ast.expr] = args, keywords: list[ast.keyword] = keywords) -> ast.Call:
        return ast.Call(func=func, args=args, keywords=keywords)

    name = func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
    for k in [] if name in COMMUTATIVE else range(len(args) - 1):
        if not any(isinstance(a, ast.Starred) for a in args[k : k + 2]):
            yield like(args=[*args[:k], args[k + 1], args[k], *args[k + 2 :]])
    for k, arg in enumerate(args):
        for shifted in _off_by_one(arg):
            yield like(args=[*args[:k], shifted, *args[k + 1 :]])
    for k, keyword in enumerate(keywords):
        if keyword.arg not in KEPT_KEYWORDS:
            yield like(keywords=[*keywords[:k], *keywords[k + 1 :]])
    if name in DROPPED:
        if isinstance(func, ast.Attribute) and _text(func.value) not in ("torch", "F", "math", "np"):
            yield func.value
        elif args and not isinstance(args[0], ast.Starred):
            yield args[0]
    if name in RENAMED and isinstance(func, ast.Attribute):
        yield like(func=ast.Attribute(value=func.value, attr=RENAMED[name], ctx=ast.Load()))


def _off_by_one(node: ast.expr) -> Iterator[ast.expr]:
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    if name in COUNTERS:
        for op in (ast.Add(), ast.Sub()):
            yield ast.BinOp(left=node, op=op, right=ast.Constant(1))


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _child(node: ast.AST, field: str, index: int | None) -> ast.AST:
    value = getattr(node, field)
    return value if index is None else value[index]


def _text(node: ast.AST) -> str:
    """One line that says what a node is; of a compound statement, its head."""
    match node:
        case ast.FunctionDef(name=name):
            return f"def {name}"
        case ast.ClassDef(name=name):
            return f"class {name}"
        case ast.Module():
            return "module"
        case ast.If(test=test):
            return f"if {_text(test)}"
        case ast.While(test=test):
            return f"while {_text(test)}"
        case ast.For(target=target, iter=iterable):
            return f"for {_text(target)} in {_text(iterable)}"
        case ast.With(items=items):
            return f"with {', '.join(map(_text, items))}"
        case ast.arguments():
            return "arguments"
        case _:
            return " ".join(ast.unparse(node).split())
