"""Jinja templates of others: a prompt is made of a row's fields, and of nothing else.

They reach neither Python nor a file, and what they may make and how long they may take is bounded: every value that a
filter, a method or an operator works on is counted in characters and items, up to a budget for each prompt.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, TemplateError, Undefined, nodes, pass_context
from jinja2.defaults import DEFAULT_FILTERS
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from mlc_bench.core.errors import UsageError

KEYS = ("doc_to_text", "doc_to_target", "doc_to_choice", "description", "gen_prefix", "target_delimiter")
"""The keys of a task's file that hold templates."""
# What a template can raise is what its expressions can: division, missing keys, calls of texts, calls without end.
RAISED = (
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RuntimeError,
    AssertionError,
    MemoryError,
    SyntaxError,
)

LONGEST_TEMPLATE = 100_000  # characters
LONGEST_RANGE = 10_000
MOST_LOOPS = 20
BUDGET = 64 << 20  # characters that one prompt may be made of, those of every step together
_ITEM = 16  # what an item of a list, a number or a step costs of it
_LARGEST_NUMBER = 10_000  # as an argument of a filter: a width, a count
_BITS = 1024  # of a whole number
_SECONDS = 1  # of one regular expression
_COUNTED = "counted"
_REFUSED = {
    nodes.Include: "include", nodes.Import: "import", nodes.FromImport: "import", nodes.Extends: "extends",
    nodes.Block: "block", nodes.Macro: "macro", nodes.CallBlock: "call", nodes.AssignBlock: "set NAME",
    nodes.FilterBlock: "filter",
}  # fmt: skip
_FILTERS = {
    "abs", "batch", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "forceescape",
    "int", "items", "join", "last", "length", "list", "lower", "map", "max", "min", "random", "reject", "rejectattr",
    "replace", "reverse", "round", "safe", "select", "selectattr", "slice", "sort", "string", "striptags", "sum",
    "title", "tojson", "trim", "truncate", "unique", "upper", "urlencode", "wordcount",
}  # fmt: skip
_METHODS: dict[type, set[str]] = {
    str: {
        "capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha", "isascii", "isdecimal",
        "isdigit", "islower", "isnumeric", "isspace", "istitle", "isupper", "join", "lower", "lstrip", "partition",
        "removeprefix", "removesuffix", "replace", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "split",
        "splitlines", "startswith", "strip", "swapcase", "title", "upper",
    },
    list: {"count", "index", "copy"},
    tuple: {"count", "index"},
    dict: {"get", "items", "keys", "values", "copy"},
    float: {"is_integer"},
    LoopContext: {"cycle", "changed"},
}  # fmt: skip


def environment() -> "Sandbox":
    """Jinja for templates of others, set up as lm-eval's own: line ends stay, and a missing field is an error."""
    return Sandbox(undefined=StrictUndefined, keep_trailing_newline=True)


class Sandbox(ImmutableSandboxedEnvironment):
    """An environment in which templates can do no more than the module says; beyond it they raise SecurityError."""

    intercepted_binops = frozenset(["+", "*", "**", "%"])  # not computed when a template is read, either

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.left = BUDGET
        self.finalize = self.spent
        self.globals = {"range": _range, "dict": dict, "namespace": Namespace}
        self.filters = {name: _counted_filter(self, name) for name in _FILTERS}
        self.filters["regex_replace"] = _regex_replace
        self.filters[_COUNTED] = self.spent

    def from_string(self, *arguments: Any, **named: Any) -> Any:
        self.left = BUDGET  # lm-eval makes a template for each prompt
        return super().from_string(*arguments, **named)

    def rendered(self, template: Any, fields: Mapping[str, Any]) -> str:
        """What a template of this environment gives for a row's fields, on a budget of its own."""
        self.left = BUDGET
        return str(template.render(**fields))

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        if len(source) > LONGEST_TEMPLATE:
            raise SecurityError(f"more than {LONGEST_TEMPLATE:,} characters")
        tree = super()._parse(source, name, filename)
        _check(tree)
        counted: nodes.Template = _Counting().visit(tree)
        counted.set_environment(self)
        return counted

    def spend(self, *values: Any, more: int = 0) -> None:
        """Count values, and so many characters more. Raises SecurityError where the budget is used up."""
        self.left -= more
        todo: list[Any] = list(values)
        while todo:
            value = todo.pop()
            self.left -= _ITEM
            if isinstance(value, str | bytes):
                self.left -= len(value)
            elif isinstance(value, Mapping):
                todo += [*value.keys(), *value.values()]
            elif isinstance(value, list | tuple | set | frozenset):
                todo += value
            elif isinstance(value, Namespace):
                todo.append(object.__getattribute__(value, "_Namespace__attrs"))
            if self.left < 0 or len(todo) * _ITEM > BUDGET:
                raise SecurityError("too long, or takes too long")
        if self.left < 0:
            raise SecurityError("too long, or takes too long")

    def spent(self, value: Any) -> Any:
        """The value, counted."""
        self.spend(value)
        return value

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "+":
            self.spend(left, right)
        elif not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise SecurityError(f"'{operator}' has no place in a prompt but between numbers")
        elif operator != "%" and isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() + right.bit_length() if operator == "*" else left.bit_length() * abs(right)
            if bits > _BITS:
                raise SecurityError(f"'{operator}' makes too large a number")
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Any, __obj: Any, *arguments: Any, **named: Any) -> Any:
        owner, method = getattr(__obj, "__self__", None), getattr(__obj, "__name__", "")
        if not isinstance(__obj, Undefined) and not _is_harmless(__obj, owner, method):
            raise SecurityError(f"a call of '{method or type(__obj).__name__}' is unsafe here")
        if isinstance(owner, str) and method == "join" and arguments:
            arguments = (list(arguments[0]),)
            __self.spend(more=len(owner) * len(arguments[0]))
        __self.spend(owner, arguments, named)
        if isinstance(owner, str) and method == "replace" and len(arguments) > 1:
            __self.spend(more=_replaced(owner, arguments[0], arguments[1]))
        return __self.spent(super().call(__context, __obj, *arguments, **named))


def _range(*bounds: int) -> range:
    found = range(*bounds)
    if len(found) > LONGEST_RANGE:
        raise SecurityError(f"a range of more than {LONGEST_RANGE:,} numbers")
    return found


def _is_harmless(function: Any, owner: Any, method: str) -> bool:
    """Whether a call makes no more than what it is given, or is counted before: of a text's methods, of a global."""
    if function in (_range, dict, Namespace):
        return True
    return any(isinstance(owner, kind) and method in allowed for kind, allowed in _METHODS.items())


def _replaced(text: str, old: Any, new: Any) -> int:
    """How many characters replacing adds at most."""
    return (text.count(str(old)) if str(old) else len(text) + 1) * len(str(new))


def _counted_filter(sandbox: Sandbox, name: str) -> Callable[..., Any]:
    """One of Jinja's filters, counted before and after."""
    function = DEFAULT_FILTERS[name]
    wants = getattr(function, "jinja_pass_arg", None)  # the environment or the like, before the value

    def filtered(*arguments: Any, **named: Any) -> Any:
        given = arguments[wants is not None :]
        if name in ("batch", "slice", "round", "truncate", "tojson"):
            numbers = [value for value in (*given[1:], *named.values()) if isinstance(value, int)]
            if any(abs(number) > _LARGEST_NUMBER for number in numbers) or (numbers and name == "tojson"):
                raise SecurityError(f"too large a number for the filter '{name}'")
        if name == "join" and given:
            first = list(given[0])
            separator = str((*given[1:], *named.values(), "")[0])
            sandbox.spend(first, more=len(separator) * len(first))
            arguments = (*arguments[: wants is not None], first, *given[1:])
        sandbox.spend(given, named)
        if name == "replace" and len(given) > 2:
            sandbox.spend(more=_replaced(str(given[0]), given[1], given[2]))
        return sandbox.spent(function(*arguments, **named))

    if wants is not None:
        filtered.jinja_pass_arg = wants  # type: ignore[attr-defined]
    return filtered


@pass_context  # so that it is not tried when the template is read
def _regex_replace(context: Context, text: str, pattern: str, new: str, count: int = 0) -> str:
    """lm-eval's filter, within a time: an expression can try for ever."""
    import regex

    sandbox: Any = context.environment
    sandbox.spend(text, pattern, new)
    references = new.count("\\")
    pieces, end = [], 0
    try:
        for number, match in enumerate(regex.finditer(pattern, text, timeout=_SECONDS)):
            if count and number >= count:
                break
            sandbox.spend(more=len(new) + references * len(text) + _ITEM)
            pieces += [text[end : match.start()], match.expand(new)]
            end = match.end()
    except (TimeoutError, regex.error) as error:
        raise SecurityError(f"the expression '{pattern[:40]}': {error}") from None
    return "".join([*pieces, text[end:]])


def _check(tree: nodes.Template) -> None:
    """Raises SecurityError for statements that bring in other files, or can repeat each other without end."""
    for kind, word in _REFUSED.items():
        if tree.find(kind) is not None:
            raise SecurityError(f"'{{% {word} %}}', which has no place in a prompt")
    loops = list(tree.find_all(nodes.For))
    if len(loops) > MOST_LOOPS:
        raise SecurityError(f"more than {MOST_LOOPS} loops")
    for loop in loops:
        if loop.recursive or next(iter(loop.find_all(nodes.For)), None) is not None:
            raise SecurityError("a loop in a loop")


class _Counting(NodeTransformer):
    """Has every value counted that gets a name, is gone through or is put together."""

    def visit_Assign(self, node: nodes.Assign) -> nodes.Assign:
        return self._counted(node, "node")

    def visit_For(self, node: nodes.For) -> nodes.For:
        return self._counted(node, "iter")

    def visit_With(self, node: nodes.With) -> nodes.With:
        self.generic_visit(node)
        node.values = [_counted(value) for value in node.values]
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:
        self.generic_visit(node)
        parts = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(parts, "join", [], [], None, None, lineno=node.lineno)

    def _counted(self, node: Any, part: str) -> Any:
        self.generic_visit(node)
        setattr(node, part, _counted(getattr(node, part)))
        return node


def _counted(value: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(value, _COUNTED, [], [], None, None, lineno=value.lineno)


def check_syntax(config: Mapping[str, Any], path: Path) -> None:
    """Raises UsageError, naming the task's file and the key, for a template that cannot be read or is not allowed."""
    made = environment()
    for key in KEYS:
        if isinstance(config.get(key), str):
            try:
                made.from_string(config[key])
            except (TemplateError, *RAISED) as error:
                raise UsageError(f"{path}: '{key}' is not a template that can be used ({reason(error)})") from None


def check_rendering(config: Mapping[str, Any], documents: Mapping[str, list[dict[str, Any]]], path: Path) -> None:
    """Raises UsageError for the first of the documents, by language, for which a template of a task gives nothing."""
    made = environment()
    templates = {}
    try:
        for key in KEYS:
            if isinstance(config.get(key), str):
                templates[key] = made.from_string(config[key])
        for docs in documents.values():
            absent = dict.fromkeys(name for doc in docs for name in doc)  # as a table of rows has it
            for doc in docs:
                for template in templates.values():
                    made.rendered(template, absent | doc)
    except (TemplateError, *RAISED) as error:
        raise UsageError(f"{path}: a prompt cannot be rendered ({reason(error)})") from None


def reason(error: Exception) -> str:
    """What an error of a template says, on one line."""
    return " ".join(str(getattr(error, "message", None) or error or type(error).__name__).split())[:200]
