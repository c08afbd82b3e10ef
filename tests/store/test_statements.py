"""The SQL of the store: all of it in its folder, all of it understood by SQLite, none of it idle."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import apsw
import apsw.ext
import pytest

from millrace.store import statements
from millrace.store.connection import Location
from millrace.store.named import Named
from millrace.store.opening import open_store
from millrace.store.statements import SQL, parse

ROOT = Path(__file__).parents[2]
LAYERS = ("model", "store", "executors", "actors", "metrics", "api", "cli")
SQL_TEXT = re.compile(
    r"^\s*(SELECT\s|INSERT\s+(OR\s+\w+\s+)?INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|CREATE\s+(TABLE\s+(?!sqlite_stat)|INDEX|TEMP)|DROP\s|ALTER\s+TABLE"
    r"|BEGIN\s+IMMEDIATE|WITH\s+RECURSIVE)"
)


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Every module of the package, parsed."""
    for layer in LAYERS:
        for path in sorted((ROOT / layer).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def docstrings(module: ast.Module) -> set[int]:
    """The constants that stand alone: docstrings, which may quote anything."""
    return {
        id(node.value)
        for node in ast.walk(module)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


@pytest.fixture
def store(location: Location) -> Iterator[apsw.Connection]:
    connection = open_store(location)
    yield connection
    connection.close()


@pytest.mark.parametrize("name", sorted(SQL))
def test_every_statement_prepares(store: apsw.Connection, name: str) -> None:
    """Tables, columns, indexes and functions are those of the schema; and it is one statement."""
    details = apsw.ext.query_info(store, SQL[name])
    assert details.query_remaining is None


def test_only_the_sql_folder_has_sql() -> None:
    """No module holds a statement: what the program asks of SQLite is read in one place."""
    found = [
        f"{path}:{node.lineno}: {node.value[:60]!r}"
        for path, module in sources()
        for skipped in [docstrings(module)]
        for node in ast.walk(module)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in skipped
        and SQL_TEXT.match(node.value)
    ]
    assert found == []


def test_only_the_store_speaks_sqlite() -> None:
    """No other layer imports a driver."""
    found = [
        path
        for path, module in sources()
        for node in ast.walk(module)
        for names in [
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        ]
        if {name.partition(".")[0] for name in names} & {"apsw", "sqlite3"} and not path.startswith("store/")
    ]
    assert found == []


def test_no_statement_is_idle() -> None:
    """Each is named somewhere in the store, whole or as a stem and its ending."""
    named = {
        node.value
        for path, module in sources()
        if path.startswith("store/")
        for node in ast.walk(module)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    idle = [
        name
        for name in sorted(set(SQL) - named)
        if not any(name[:at] in named and name[at:] in named for at in range(1, len(name)))
    ]
    assert idle == []


def test_no_method_of_the_writer_is_idle() -> None:
    """What the writer and its parts can do, somebody asks for."""
    asked = {node.attr for _, module in sources() for node in ast.walk(module) if isinstance(node, ast.Attribute)}
    methods = {
        name
        for part in Named.__subclasses__()
        for name, value in vars(part).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }
    assert sorted(methods - asked) == []


def test_every_name_that_is_used_is_a_statement() -> None:
    """`SQL["..."]` and the writer's methods name statements that there are."""
    used = {
        node.slice.value
        for path, module in sources()
        if path.startswith("store/")
        for node in ast.walk(module)
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id == "SQL"
        and isinstance(node.slice, ast.Constant)
    }
    assert used
    assert used <= set(SQL)


def test_no_statement_reads_the_clock_of_sqlite() -> None:
    """Times are always bound: in a test they are the test's."""
    text = "\n".join(SQL.values()).lower()
    assert re.search(r"current_timestamp|current_time|strftime\(|julianday\(|unixepoch\(|datetime\('now", text) is None


def test_every_read_of_many_rows_names_its_index() -> None:
    """A statement over the queue or the history by anything but the id says which index it takes, or reads all on purpose."""
    for name, sql in SQL.items():
        for table in re.findall(r"\bINDEXED BY (\w+)", sql):
            assert table.startswith(("task_", "history_", "edge_", "series_")), name


def test_a_file_is_taken_apart_by_its_headers() -> None:
    """Comments, indentation and the last semicolon are for readers of the file, not for SQLite."""
    text = "-- name: select_one\n-- why\nSELECT 1;\n\n-- name: select_two\nSELECT\n    2;\n"
    assert parse(text) == {"select_one": "SELECT 1", "select_two": "SELECT\n2"}


def test_a_name_stands_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two statements of one name are an error, and no silent choice."""
    folder = tmp_path / "sql"
    folder.mkdir()
    for file in ("a.sql", "b.sql"):
        (folder / file).write_text("-- name: select_one\nSELECT 1;\n", encoding="utf-8")
    monkeypatch.setattr(statements, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match="select_one"):
        statements.load()
