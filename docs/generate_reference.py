"""Writes docs/reference/ from the docstrings of millrace's public names: `python docs/generate_reference.py`.

The tests compare what it writes with what is there. Texts are read from the source, as `ast` has it, so that every version of
Python writes the same.
"""

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import millrace
from millrace import metrics

PAGES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "scheduler": ("The scheduler", ("Scheduler", "DomainHandle", "Subscription")),
    "tasks": ("Defining tasks", ("Domain", "Task", "Submission")),
    "context": ("Inside a task", ("Context", "ChildResult", "ChildSummary")),
    "outcomes": ("Outcomes and records", ("Outcome", "TaskHandle", "SubmitKind", "TaskRecord", "CancelResult")),
    "flows": ("Flows", ("Flow",)),
    "options": ("Options and statuses", ()),
    "events": ("Events", ()),
    "snapshots": ("Snapshots and statistics", ()),
    "errors": ("Errors", ()),
}
"""Pages with the names that are theirs; those without take what is left, by kind."""

Definition = ast.FunctionDef | ast.ClassDef
HEADINGS = ("Args", "Returns", "Raises", "Yields")
ERRORS = re.compile(r"(?:^|(?<=[.;] ))((?:\w+\.)?[A-Z]\w+(?:, (?:\w+\.)?[A-Z]\w+)*): ")
"""Names of errors before what they mean: several may stand in one paragraph of a docstring."""


def page_of(name: str, value: object) -> str:
    """Which page a public name is on."""
    for page, (_, names) in PAGES.items():
        if name in names:
            return page
    if isinstance(value, type) and issubclass(value, BaseException):
        return "errors"
    if isinstance(value, type) and issubclass(value, millrace.Event):
        return "events"
    module = getattr(value, "__module__", "")
    return "snapshots" if module.endswith((".snapshots", ".stats", ".metrics", ".records")) else "options"


def pages() -> dict[str, str]:
    """Every page's text, by its file's name."""
    found: dict[str, list[str]] = {page: [] for page in PAGES}
    for name in sorted(millrace.__all__, key=lambda name: (rank(name), name.lower())):
        value = getattr(millrace, name)
        if name != "__version__":
            is_class = inspect.isclass(value) and value.__name__ == name
            found[page_of(name, value)].append(class_text(value) if is_class else alias_text(name))
    texts = {f"{page}.md": page_text(PAGES[page][0], "millrace", parts) for page, parts in found.items()}
    of_metrics = [text_of(metrics, name) for name in metrics.__all__]
    texts["metrics.md"] = page_text("Metrics", "millrace.metrics", of_metrics)
    return texts


def rank(name: str) -> int:
    """Names that a page lists come in its order, before those that it takes by kind."""
    order = [each for _, names in PAGES.values() for each in names]
    return order.index(name) if name in order else len(order)


def page_text(title: str, module: str, parts: list[str]) -> str:
    """A page with its parts."""
    note = f"Written by `docs/generate_reference.py` from the docstrings. All names are importable from `{module}`."
    return "\n\n".join([f"# {title}", note, *parts]) + "\n"


def text_of(module: ModuleType, name: str) -> str:
    """A class, or a function, of another module."""
    value = getattr(module, name)
    if inspect.isclass(value):
        return class_text(value)
    node = definition(value)
    assert isinstance(node, ast.FunctionDef)
    return f"## {name}\n\n{function_text(node, '')}"


def definition(value: object) -> Definition:
    """The source of a class or function, as a tree."""
    assert inspect.isclass(value) or inspect.isfunction(value)
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(value))).body
    assert isinstance(node, Definition)
    return node


def class_text(kind: type) -> str:
    """A class with its fields and methods; those that it has of its mixins are its own."""
    node = definition(kind)
    bases = [base.__name__ for base in kind.__bases__ if base.__name__ in millrace.__all__ or is_error(base)]
    article = "An" if bases and bases[0][0] in "AEIO" else "A"
    parts = [f"## {kind.__name__}" + (f"\n\n{article} `{'` and a `'.join(bases)}`." if bases else "")]
    parts.append(prose(ast.get_docstring(node) or ""))
    own = [node, *(definition(base) for base in kind.__mro__[1:] if is_mixin(base))]
    fields = [line for each in own for line in fields_of(each)]
    if fields:
        parts.append("\n".join(fields))
    seen: set[str] = set()
    for each in own:
        for member in each.body:
            if isinstance(member, ast.FunctionDef) and is_public(member) and member.name not in seen:
                seen.add(member.name)
                parts.append(function_text(member, f"{kind.__name__}."))
    return "\n\n".join(part for part in parts if part)


def is_error(base: type) -> bool:
    """An error of Python's, by which ours can be caught; `Exception` says nothing of one."""
    return issubclass(base, BaseException) and base not in (Exception, BaseException)


def is_mixin(base: type) -> bool:
    """A class of the library that is not public by itself."""
    return base.__module__.startswith("millrace.") and base.__name__ not in millrace.__all__


def is_public(member: ast.FunctionDef) -> bool:
    """A method for users: one that the runtime makes objects with, or sets, says so or has no text."""
    is_setter = any(isinstance(each, ast.Attribute) and each.attr == "setter" for each in member.decorator_list)
    is_init = member.name == "__init__" and ast.get_docstring(member) is None and len(member.args.args) > 1
    text = ast.get_docstring(member)
    return not is_setter and (is_init or (not member.name.startswith("_") and text is not None))


def fields_of(node: Definition) -> Iterator[str]:
    """A list of the fields and members, with the text below each."""
    for member, after in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
            name, kind = member.target.id, f": {ast.unparse(member.annotation)}"
            value = "" if member.value is None or "field(" in ast.unparse(member.value) else ast.unparse(member.value)
        elif isinstance(member, ast.Assign) and isinstance(member.targets[0], ast.Name):
            name, kind, value = member.targets[0].id, "", ast.unparse(member.value)
        else:
            continue
        if not name.startswith("_"):
            text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            shown = f"`{name}{kind}{' = ' + value if value else ''}`"
            yield f"- {shown}" + (f": {marked(' '.join(str(text).split()))}" if text else "")


def function_text(node: ast.FunctionDef, owner: str) -> str:
    """A method, or a property, with its signature."""
    is_property = any(isinstance(each, ast.Name) and each.id == "property" for each in node.decorator_list)
    result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    if node.name == "__init__":
        title, shown = "", f"{owner[:-1]}({arguments(node)})"
    elif is_property:
        title, shown = f"### {owner}{node.name}", f"{node.name}: {ast.unparse(node.returns) if node.returns else ''}"
    else:
        title = f"### {owner}{node.name}" if owner else ""
        shown = f"{node.name}({arguments(node)}){result}"
    signature = f"```\n{folded(shown)}\n```"
    return "\n\n".join(part for part in (title, signature, prose(ast.get_docstring(node) or "")) if part)


def arguments(node: ast.FunctionDef) -> str:
    """What is given, without the object itself."""
    return re.sub(r"^(self|cls)(, |$)", "", ast.unparse(node.args))


def folded(signature: str) -> str:
    """A signature on lines of at most 120 characters."""
    return textwrap.fill(signature, 120, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def prose(docstring: str) -> str:
    """A docstring in Markdown: its sections as lists."""
    lines: list[str] = []
    section = ""
    errors = ""
    for line in [*inspect.cleandoc(docstring).splitlines(), ""]:
        stripped = line.strip()
        if section == "Raises:" and line.startswith("    "):
            errors += f"{stripped} "
            continue
        lines += raised(errors)
        errors = ""
        if stripped.rstrip(":") in HEADINGS and stripped.endswith(":"):
            section = stripped
            lines += [f"**{section.rstrip(':')}**", ""]
        elif section and line.startswith("    ") and not line.startswith("     "):
            name, colon, text = stripped.partition(":")
            lines.append(f"- `{name}`:{text}" if colon and section != "Returns:" else f"- {stripped}")
        elif section and stripped:
            lines.append(f"  {stripped}")
        else:
            section = ""
            lines.append(line)
    return marked("\n".join(lines)).strip()


def raised(text: str) -> list[str]:
    """A list of what is raised, an item for each kind of error; what is told of none in particular is one."""
    before, *pairs = ERRORS.split(" ".join(text.split()))
    items = [f"- `{names}`: {meaning.strip()}" for names, meaning in zip(pairs[::2], pairs[1::2], strict=True)]
    return [f"- {before.strip()}", *items] if before.strip() else items


def marked(text: str) -> str:
    """Code in single backticks, as Markdown has it."""
    return re.sub(r"``(.+?)``", r"`\1`", text)


def alias_text(name: str) -> str:
    """A type alias: what it stands for, where it is defined."""
    init = ast.parse(inspect.getsource(millrace))
    (module,) = (
        node.module
        for node in init.body
        if isinstance(node, ast.ImportFrom) and node.module and name in {each.name for each in node.names}
    )
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    (value,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.target.id == name
        and node.value is not None
    )
    return f"## {name}\n\n```\n{name} = {ast.unparse(value)}\n```"


def main() -> None:
    """Write all pages."""
    folder = Path(__file__).parent / "reference"
    folder.mkdir(exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
