"""Counts that are computed: `1000 * sum(16 - i for i in range(1, 16))`.

Owns a small, bounded evaluator: whole numbers and fractions, `+ - * / // %`, `sum min max ceil floor range` and loop
variables. It cannot name anything else, and it stops after `MAX_ROUNDS` loop rounds, so that every text is answered
at once. There is no power: nothing a plan counts needs one.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Iterator
from typing import Final

from headway.domain.errors import PlanError

MAX_TEXT: Final = 500
MAX_DEPTH: Final = 40
MAX_ROUNDS: Final = 100_000
MAX_RESULT: Final = 1e15

Number = int | float
_SUFFIXED = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)([kKMB])(?!\w)")
_SUFFIX = {"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9}
_HINT = "Use numbers, + - * / // %, sum, min, max, ceil, floor, range and loop variables."
_OPERATORS: Final[dict[type[ast.operator], Callable[[Number, Number], Number]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARISONS: Final[dict[type[ast.cmpop], Callable[[Number, Number], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_FUNCTIONS = ("sum", "min", "max", "ceil", "floor")


def evaluate(text: str) -> float:
    """The value of an arithmetic expression, 0 to 1e15.

    Raises PlanError: longer than 500 characters, nested deeper than 40, anything that is not arithmetic, more than
    100,000 loop rounds, division by zero, negative or too large.
    """
    if len(text) > MAX_TEXT:
        raise PlanError(f"an expression has at most {MAX_TEXT} characters", got=f"{len(text)} characters")
    plain = _SUFFIXED.sub(lambda match: f"{float(match[1]) * _SUFFIX[match[2]]:.15g}", text.strip())
    try:
        tree = ast.parse(plain, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as problem:
        at = f" at character {problem.offset}" if isinstance(problem, SyntaxError) and problem.offset else ""
        raise PlanError(f"an expression is arithmetic{at}", got=repr(text)[:80], hint=_HINT) from None
    if _depth(tree.body) > MAX_DEPTH:
        raise PlanError(f"an expression is nested at most {MAX_DEPTH} deep", got=repr(text)[:80])
    try:
        value = _Evaluation(plain).number(tree.body, {})
    except (ZeroDivisionError, OverflowError):
        raise PlanError("an expression has a finite value: it divides by zero", got=repr(text)[:80]) from None
    if not math.isfinite(value) or not 0 <= value <= MAX_RESULT:
        raise PlanError("a count is between 0 and 1e15", got=f"{value:g}")
    return float(value)


def _depth(root: ast.AST) -> int:
    """Levels of nesting, counted without recursion."""
    deepest, level = 0, [root]
    while level:
        deepest += 1
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return deepest


class _Evaluation:
    """One evaluation with its budget of loop rounds."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.rounds = 0

    def number(self, node: ast.AST, names: dict[str, Number]) -> Number:
        """The value of `node` with the loop variables `names`."""
        match node:
            case ast.Constant(value=bool() | str() | bytes() | complex()) | ast.Constant(value=None):
                raise self._refuse(node)
            case ast.Constant(value=int() | float() as value):
                return self._bounded(value, node)
            case ast.Name(id=name) if name in names:
                return names[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.number(operand, names)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.number(operand, names)
            case ast.BinOp(op=op) if type(op) in _OPERATORS:
                left, right = self.number(node.left, names), self.number(node.right, names)
                return self._bounded(_OPERATORS[type(op)](left, right), node)
            case ast.Call(func=ast.Name(id=name), keywords=[]) if name in _FUNCTIONS:
                return self._call(name, node, names)
        raise self._refuse(node)

    def _call(self, name: str, node: ast.Call, names: dict[str, Number]) -> Number:
        values = self._arguments(node, names)
        if name in ("ceil", "floor"):
            if len(node.args) != 1 or isinstance(node.args[0], ast.GeneratorExp | ast.ListComp):
                raise self._refuse(node)
            value = next(values)
            return math.ceil(value) if name == "ceil" else math.floor(value)
        if name == "sum":
            if len(node.args) != 1:
                raise self._refuse(node)
            return self._bounded(sum(values), node)
        found = list(values)
        if not found:
            raise self._refuse(node)
        return min(found) if name == "min" else max(found)

    def _arguments(self, node: ast.Call, names: dict[str, Number]) -> Iterator[Number]:
        """Values of a call: of its loop, its range, or its own arguments."""
        if len(node.args) == 1:
            only = node.args[0]
            if isinstance(only, ast.GeneratorExp | ast.ListComp):
                yield from self._loop(only.elt, only.generators, names)
                return
            if self._is_range(only):
                yield from self._range(only, names)
                return
        for argument in node.args:
            yield self.number(argument, names)

    def _loop(self, element: ast.expr, loops: list[ast.comprehension], names: dict[str, Number]) -> Iterator[Number]:
        if not loops:
            yield self.number(element, names)
            return
        loop = loops[0]
        if not isinstance(loop.target, ast.Name) or loop.is_async:
            raise self._refuse(loop.target)
        for value in self._range(loop.iter, names):
            inner = {**names, loop.target.id: value}
            if all(self._true(condition, inner) for condition in loop.ifs):
                yield from self._loop(element, loops[1:], inner)

    def _true(self, node: ast.expr, names: dict[str, Number]) -> bool:
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARISONS:
            left, right = self.number(node.left, names), self.number(node.comparators[0], names)
            return _COMPARISONS[type(node.ops[0])](left, right)
        raise self._refuse(node)

    def _is_range(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range"

    def _range(self, node: ast.expr, names: dict[str, Number]) -> Iterator[int]:
        if not isinstance(node, ast.Call) or not self._is_range(node) or not 1 <= len(node.args) <= 3 or node.keywords:
            raise self._refuse(node)
        ends = [self.number(argument, names) for argument in node.args]
        if any(end != int(end) for end in ends) or (len(ends) == 3 and ends[2] == 0):
            raise self._refuse(node)
        values = range(*(int(end) for end in ends))
        if self.rounds + _length(values) > MAX_ROUNDS:
            raise PlanError(f"an expression ends within {MAX_ROUNDS:,} rounds", got=self._words(node))
        for value in values:
            self.rounds += 1
            if self.rounds > MAX_ROUNDS:
                raise PlanError(f"an expression ends within {MAX_ROUNDS:,} rounds", got=self._words(node))
            yield value

    def _bounded(self, value: Number, node: ast.AST) -> Number:
        """`value`, refused before numbers can grow without end."""
        if not abs(value) <= MAX_RESULT:
            raise PlanError("a count is between 0 and 1e15", got=self._words(node))
        return value

    def _words(self, node: ast.AST) -> str:
        return repr(ast.get_source_segment(self.text, node) or self.text)[:80]

    def _refuse(self, node: ast.AST) -> PlanError:
        column = getattr(node, "col_offset", 0) + 1
        return PlanError(f"an expression is arithmetic: character {column} is not", got=self._words(node), hint=_HINT)


def _length(values: range) -> int:
    """Its number of values, for any size (`len` stops at 2**63)."""
    return max(0, (values.stop - values.start + values.step - (1 if values.step > 0 else -1)) // values.step)
