"""Mutants of a module: each is its text with one small mistake in it.

What mistakes there are is mutmut's knowledge. It would also run them, but only those inside plain
functions, and here a limit is guarded by an SQL statement that a module builds once and by
properties: so what to change is decided here, and `mutating` runs the result.
"""

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import libcst as cst
import libcst.matchers as m
from libcst.metadata import MetadataWrapper, PositionProvider
from money_code import ROOT
from mutmut.mutation.mutators import mutation_operators

# What may change unnoticed: types and decorators, what a log, an error or a `repr` says (that none
# says a PIN has tests of its own), checks that two lists are equally long, and what only PostgreSQL
# asks for, whose tests take longer: the types of bound values, and the order in which rows are
# locked, which only a deadlock shows.
_LOG = m.Expr(m.Call(func=m.Attribute(value=m.Name("LOG") | m.Attribute(attr=m.Name("LOG")))))
_LOGS = m.Call(func=m.Attribute(value=m.Name("logs")))
_SUPER = m.Call(func=m.Attribute(value=m.Call(func=m.Name("super"))))
_SHOWN = m.Arg(keyword=m.Name("repr") | m.Name("strict"))
_ORDER, _BOUND = m.Arg(keyword=m.Name("key")), m.Arg(keyword=m.Name("type_"))
_UNION, _LITERAL = m.BinaryOperation(operator=m.BitOr()), m.Subscript(value=m.Name("Literal"))
_TYPE = m.Assign(value=_UNION | _LITERAL | m.Call(func=m.Name("TypeVar")))
_EXPORTS = m.Assign(targets=[m.AssignTarget(target=m.Name("__all__"))])
_SAYS = m.Raise() | _SHOWN | _LOG | _LOGS | _SUPER
_LEFT_OUT = m.Annotation() | m.Decorator() | _TYPE | _EXPORTS | _SAYS | _ORDER | _BOUND
_BARE = m.Call(func=m.Name("zip") | m.Name("len") | m.Name("isinstance"))
CHANGE_MOST = 200  # characters shown of it


@dataclass(frozen=True, slots=True)
class Mutant:
    """A module's text with one mistake, and whose tests may see it."""

    module: str
    line: int
    reach: frozenset[int] | None  # the lines by which its tests are found; None: any
    change: str
    text: str


class _Changes(cst.CSTVisitor):
    """Every node with what may take its place."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[int, cst.CSTNode, cst.CSTNode]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if m.matches(node, _LEFT_OUT):
            return False
        if not m.matches(node, _BARE):
            for kind, changed in mutation_operators:
                if isinstance(node, kind):
                    others = (other for other in changed(node) if not _is_same(node, other))
                    self.found.extend((self._line(node), node, other) for other in others)
        return True

    def _line(self, node: cst.CSTNode) -> int:
        place = self.get_metadata(PositionProvider, node, None)
        return place.start.line if place else 1


def _is_same(node: cst.CSTNode, other: cst.CSTNode) -> bool:
    """Do two calls differ in such arguments only?"""
    if not (isinstance(node, cst.Call) and isinstance(other, cst.Call)):
        return False
    said, instead = _said(node), _said(other)
    return (
        node.func.deep_equals(other.func)
        and len(said) == len(instead)
        and all(arg.deep_equals(its) for arg, its in zip(said, instead, strict=True))
    )


def _said(call: cst.Call) -> list[cst.Arg]:
    """The arguments that tests are to notice, without their commas."""
    bare = {"comma": cst.MaybeSentinel.DEFAULT}
    unseen = _SHOWN | _ORDER | _BOUND
    return [arg.with_changes(**bare) for arg in call.args if not m.matches(arg, unseen)]


def mutants(module: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its lines."""
    text = (ROOT / module).read_text()
    wrapper = MetadataWrapper(cst.parse_module(text))
    changes = _Changes()
    wrapper.visit(changes)
    reach = _Reach(ast.parse(text))
    for line, node, other in sorted(changes.found, key=lambda found: found[0]):
        changed = wrapper.module.deep_replace(node, other).code
        yield Mutant(module, line, reach.of(line), _told(text, changed), changed)


class _Reach:
    """Which lines say that a test has to do with what another line holds."""

    def __init__(self, tree: ast.Module) -> None:
        self._spans = list(_spans(tree))
        self._tops = [(_lines(node), _names(node), _made(node)) for node in tree.body]

    def of(self, line: int) -> frozenset[int] | None:
        """Of a function: its statement. Of a module: the functions that use what it makes there."""
        spans = [span for span in self._spans if line in span]
        if spans:
            return frozenset(min(spans, key=len))
        found: set[int] = set()
        names = {name for lines, _, made in self._tops if line in lines for name in made}
        todo = set(names)
        while todo:
            name = todo.pop()
            for lines, used, made in self._tops:
                if name in used and made:
                    todo |= made - names
                    names |= made
                elif name in used:
                    found.update(lines)
        return frozenset(found) or None


def _lines(node: ast.stmt) -> range:
    return range(node.lineno, node.end_lineno + 1)


def _names(node: ast.stmt) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)} - _made(node)


def _made(node: ast.stmt) -> set[str]:
    """The names that a module's statement gives to something, other than a class or function."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return set()
    names = (one for one in ast.walk(node) if isinstance(one, ast.Name))
    return {name.id for name in names if isinstance(name.ctx, ast.Store)}


def _spans(tree: ast.Module) -> Iterator[range]:
    """The lines of each statement of a function; of one that holds others, its head."""
    functions = (
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    for function in functions:
        yield _lines(function)
        for node in ast.walk(function):
            if isinstance(node, ast.stmt) and node is not function:
                inner = getattr(node, "body", None)
                end = max(node.lineno, inner[0].lineno - 1) if inner else node.end_lineno
                yield range(node.lineno, end + 1)


def _told(before: str, after: str) -> str:
    """What was changed, as one line."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    marked = [f"{line[0]} {line[1:].strip()}" for line in islice(lines, 3, None)]
    return " ".join(marked)[:CHANGE_MOST]
