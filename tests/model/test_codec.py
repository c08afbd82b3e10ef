"""The payload and memo codecs: S-020 to S-025, S-199, S-200."""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import json
import math
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, NoReturn, Optional, TypedDict, Union

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.model import codec as codec_module
from millrace.model.codec import MemoCodec, PayloadCodec, UndecodablePayload, decode_json, encode_json
from millrace.model.errors import InvalidTask, PayloadTooLarge

if TYPE_CHECKING:
    from millrace import Context

MAX = 1_048_576


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0
    note: str | None = None


@dataclasses.dataclass
class Tree:
    name: str
    children: list[Tree] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Uncompared:
    score: float | None = dataclasses.field(compare=False)


@dataclasses.dataclass
class Hidden:
    amount: Decimal = dataclasses.field(compare=False)


class Movie(TypedDict, total=False):
    title: str
    year: int


class Circle(msgspec.Struct, tag=True, rename="camel"):
    inner_radius: float
    labels: set[str | int] = set()


class Square(msgspec.Struct, tag=True):
    side: float


class Row(msgspec.Struct, array_like=True, tag=True):
    number: int
    value: Any = None


class Pair(NamedTuple):
    left: int
    right: str = ""


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Odd(enum.Enum):
    HALF = 0.5
    NOTHING = ()


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Real(float):
    pass


def of(annotation: Any, default: Any = ...) -> PayloadCodec:
    """The codec of a body with one parameter `value` of that annotation."""
    if default is ...:

        def body(ctx: Context, value: Any) -> None: ...

    else:

        def body(ctx: Context, value: Any = default) -> None: ...

    if annotation is None:
        del body.__annotations__["value"]
    else:
        body.__annotations__["value"] = annotation
    return PayloadCodec(body, task_name="test::body")


def text_of(codec: PayloadCodec, *args: Any, **kwargs: Any) -> str:
    return codec.encode(codec.bind(args, kwargs), max_bytes=MAX)


def there_and_back(annotation: Any, value: Any) -> Any:
    codec = of(annotation)
    args, kwargs = codec.decode(text_of(codec, value))
    assert kwargs == {}
    return args[0]


# ── round trips ─────────────────────────────────────────────────────────────────────────────────

ints = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]))
decimals = st.decimals(allow_nan=False, allow_infinity=False)
moments = st.datetimes(timezones=st.just(UTC)) | st.datetimes()
plain = st.recursive(
    st.none() | st.booleans() | ints | floats | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=20,
)
points = st.builds(Point, ints, floats, st.none() | texts)

CASES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (None, plain),
    (Any, plain),
    (object, plain),
    (int, ints),
    (float, floats),
    (bool, st.booleans()),
    (str, texts),
    (bytes, st.binary()),
    (datetime, moments),
    (date, st.dates()),
    (time, st.times()),
    (timedelta, st.timedeltas()),
    (Decimal, decimals),
    (uuid.UUID, st.uuids()),
    (Color, st.sampled_from(Color)),
    (Level, st.sampled_from(Level)),
    (Point, points),
    (list[Point], st.lists(points)),
    (Tree, st.recursive(st.builds(Tree, texts), lambda inner: st.builds(Tree, texts, st.lists(inner)), max_leaves=8)),
    (Movie, st.fixed_dictionaries({}, optional={"title": texts, "year": ints})),
    (Circle | Square, st.builds(Circle, floats, st.sets(texts | ints)) | st.builds(Square, floats)),
    (Row, st.builds(Row, ints, plain)),
    (Pair, st.builds(Pair, ints, texts)),
    (tuple[int, str], st.tuples(ints, texts)),
    (tuple[int, ...], st.lists(ints).map(tuple)),
    (set[int], st.sets(ints)),
    (set[int | str], st.sets(ints | texts)),
    (set[Color], st.sets(st.sampled_from(Color))),
    (frozenset[str], st.frozensets(texts)),
    (set[tuple[int, str]], st.sets(st.tuples(ints, texts))),
    (set[frozenset[int]], st.sets(st.frozensets(ints))),
    (dict[str, list[int | None]], st.dictionaries(texts, st.lists(st.none() | ints))),
    (dict[int, Point], st.dictionaries(ints, points)),
    (dict[float, int], st.dictionaries(floats.map(lambda each: each + 0.0), ints)),
    (dict[Color, int], st.dictionaries(st.sampled_from(Color), ints)),
    (dict[date, uuid.UUID], st.dictionaries(st.dates(), st.uuids())),
    (int | None, st.none() | ints),
    (Optional[Point], st.none() | points),  # noqa: UP045  # the old spelling works, too
    (Union[int, str, list[int]], ints | texts | st.lists(ints)),  # noqa: UP007
    (Literal["a", 1], st.sampled_from(["a", 1])),
    (Annotated[int, msgspec.Meta(ge=0)], st.integers(0, 100)),
    ("list[Point]", st.lists(points)),
]


@pytest.mark.parametrize(("annotation", "values"), CASES, ids=[str(annotation) for annotation, _ in CASES])
def test_round_trip(annotation: Any, values: st.SearchStrategy[Any]) -> None:
    """Every supported type comes back by its annotation: the same value of the same class, from canonical text."""
    codec = of(annotation)

    @given(values)
    def check(value: Any) -> None:
        text = text_of(codec, value)
        (back,), kwargs = codec.decode(text)
        assert kwargs == {}
        assert back == value
        assert type(back) is type(value)
        assert_canonical(text)

    check()


def assert_canonical(text: str) -> None:
    """Keys sorted, no spaces: writing what was read gives the same text again."""
    loaded = json.loads(text)
    assert msgspec.json.encode(loaded, order="sorted").decode() == text


@given(st.datetimes(timezones=st.timezones(), min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)))  # noqa: DTZ001
def test_datetimes_of_any_zone(moment: datetime) -> None:
    """An aware datetime comes back as the same instant, also where its offset has seconds (before standard time)."""
    back = there_and_back(datetime, moment)
    assert back.astimezone(UTC) == moment.astimezone(UTC)


def test_times_with_odd_offsets() -> None:
    """What ISO 8601 cannot say is refused, not rounded."""
    odd = timezone(timedelta(seconds=30))
    with pytest.raises(InvalidTask, match="offset of whole minutes"):
        text_of(of(time), time(1, tzinfo=odd))
    with pytest.raises(InvalidTask, match="years 1 to 9999"):
        text_of(of(datetime), datetime.min.replace(tzinfo=odd))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, 2), [1, 2]),
        ({"b": 1, "a": {2: "x"}}, {"a": {"2": "x"}, "b": 1}),
        ({1.5: 1, Color.RED: 2}, {"1.5": 1, "red": 2}),
        ({3, 1, 20}, [1, 3, 20]),
        (b"x", "eA=="),
        (Color.RED, "red"),
        (Odd.HALF, 0.5),
        (Odd.NOTHING, []),
        (Point(1, note="n"), {"note": "n", "x": 1, "y": 0.0}),
        (Circle(2.0), {"innerRadius": 2.0, "labels": [], "type": "Circle"}),
        ([Row(1, Text("t"))], [["Row", 1, "t"]]),
        (Pair(1), [1, ""]),
        ([Text("t"), Number(5), Real(0.5), {Text("k"): Number(1)}], ["t", 5, 0.5, {"k": 1}]),
        (Decimal("1.50"), "1.50"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (bytearray(b"x"), "eA=="),
        (-0.0, -0.0),
    ],
)
def test_without_annotation(value: Any, expected: Any) -> None:
    """A parameter without annotation takes all of these, and gives plain JSON."""
    assert repr(there_and_back(None, value)) == repr(expected)


def test_subclasses_of_builtins() -> None:
    """A str, int or float of a derived class is accepted where the plain one is annotated, and comes back plain."""
    assert type(there_and_back(str, Text("t"))) is str
    assert type(there_and_back(int, Number(5))) is int
    assert type(there_and_back(float, Real(5))) is float


def test_fitting_containers() -> None:
    """A list or set where a tuple is annotated (and the reverse) is accepted, and comes back as annotated."""
    assert there_and_back(list[int], (1, 2)) == [1, 2]
    assert there_and_back(tuple[int, ...], [1, 2]) == (1, 2)
    assert there_and_back(set[int], [1, 2]) == {1, 2}
    assert there_and_back(float, 1) == 1.0
    assert there_and_back(Point, {"x": 1}) == Point(1)


# ── canonical text and key ──────────────────────────────────────────────────────────────────────


def scan(ctx: Context, path: str, depth: int = 3, *, follow: bool = False) -> int:
    return depth


SCAN = PayloadCodec(scan, task_name="fs::scan")


@given(texts, ints, st.booleans())
def test_one_payload_however_given(path: str, depth: int, follow: bool) -> None:
    """Positional or by name, defaults given or not: one payload, one key."""
    text = text_of(SCAN, path, depth, follow=follow)
    assert text == text_of(SCAN, follow=follow, depth=depth, path=path)
    assert json.loads(text) == {"path": path, "depth": depth, "follow": follow}
    assert SCAN.decode(text) == ((path, depth), {"follow": follow})
    assert text_of(SCAN, path) == text_of(SCAN, path, 3, follow=False)


def test_digest() -> None:
    """The key of a payload is the SHA-256 of its canonical text, in lower-case hex."""
    text = text_of(SCAN, "/é", 1)
    assert text == '{"depth":1,"follow":false,"path":"/é"}'
    expected = json.dumps(
        {"path": "/é", "depth": 1, "follow": False}, sort_keys=True, ensure_ascii=False, separators=(",", ":")
    )
    assert SCAN.digest(text) == hashlib.sha256(expected.encode()).hexdigest()


@given(st.dictionaries(texts, plain), st.randoms())
def test_order_of_keys(value: dict[str, Any], random: Any) -> None:
    """The order in which a dict was filled does not show."""
    items = list(value.items())
    random.shuffle(items)
    assert text_of(of(None), value) == text_of(of(None), dict(items))


@given(st.lists(st.frozensets(st.integers(0, 3)) | st.integers(0, 99) | st.text("ab"), unique=True), st.randoms())
def test_order_of_sets(members: list[Any], random: Any) -> None:
    """The order in which a set iterates does not show, with members of any types, annotated or not."""
    shuffled = list(members)
    random.shuffle(shuffled)
    for codec in (of(None), of(list[Any])):
        assert text_of(codec, set(members)) == text_of(codec, set(shuffled))
    assert text_of(of(None), {1: set(members)}) == text_of(of(dict[int, Any]), {1: set(shuffled)})


def test_sets_of_sets() -> None:
    """Sets have no order among themselves, so their text decides; also in a short payload."""
    sets = [frozenset({1}), frozenset({0, 9}), frozenset({3})]
    assert text_of(of(set[frozenset[int]]), set(sets)) == '{"value":[[0,9],[1],[3]]}'
    assert text_of(of(None), set(sets)) == '{"value":[[0,9],[1],[3]]}'


def test_numbers_order_alike_on_both_ways() -> None:
    """A set of numbers has one text whether or not something else in the payload needs the slow way."""

    def body(ctx: Context, numbers: set[int], other: list[int]) -> None: ...

    codec = PayloadCodec(body, task_name="test::body")
    assert text_of(codec, {10, 9}, [1]) == text_of(codec, {10, 9}, (1,))


# ── binding ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "missing a required argument: 'path'"),
        (("a", 1, True), {}, "too many positional arguments"),
        (("a",), {"path": "b"}, "multiple values for argument 'path'"),
        (("a",), {"colour": 1}, "unexpected keyword argument 'colour'"),
    ],
)
def test_misfit(args: tuple[Any, ...], kwargs: dict[str, Any], message: str) -> None:
    """Arguments that do not fit are a TypeError in Python's words, with the task's name."""
    with pytest.raises(TypeError, match=rf"fs::scan\(\).*{message}"):
        SCAN.bind(args, kwargs)


def wild(ctx: Context, a: int, /, b: str = "b", *args: int, k: int, **kwargs: float) -> None: ...


WILD = PayloadCodec(wild, task_name="test::wild")


def test_every_kind_of_parameter() -> None:
    """`*args` is a list and `**kwargs` an object under its name; all come back as they were given."""
    text = text_of(WILD, 1, "x", 2, 3, k=4, a=0.5)
    assert text == '{"a":1,"args":[2,3],"b":"x","k":4,"kwargs":{"a":0.5}}'
    assert WILD.decode(text) == ((1, "x", 2, 3), {"k": 4, "a": 0.5})
    assert text_of(WILD, 1, k=4) == '{"a":1,"args":[],"b":"b","k":4,"kwargs":{}}'
    with pytest.raises(TypeError, match=r"test::wild\(\).*'a'"):
        WILD.bind((), {"a": 1, "k": 2})


@pytest.mark.parametrize(
    ("args", "kwargs", "name"), [((1, "x", "2"), {"k": 1}, "args[0]"), ((1,), {"k": 1, "z": "s"}, "kwargs")]
)
def test_variadic_types(args: tuple[Any, ...], kwargs: dict[str, Any], name: str) -> None:
    """The annotations of `*args` and `**kwargs` are those of each value."""
    with pytest.raises(InvalidTask) as caught:
        text_of(WILD, *args, **kwargs)
    assert name in str(caught.value)


def test_no_payload() -> None:
    """A body that takes the context alone has an empty object as payload."""

    def body(ctx: Context) -> None: ...

    codec = PayloadCodec(body, task_name="test::body")
    assert (text_of(codec), codec.decode("{}"), codec.names, codec.has_required) == ("{}", ((), {}), (), False)
    with pytest.raises(TypeError, match="too many positional"):
        codec.bind((1,), {})


def test_context_by_var_positional() -> None:
    """A body of `*args` alone takes the context first, the payload after it."""
    codec = PayloadCodec(lambda *args: None, task_name="test::body")
    assert codec.decode(text_of(codec, 1, 2)) == ((1, 2), {})


def test_names_and_required() -> None:
    """The parameters are listed in order; one without default is required."""
    assert WILD.names == ("a", "b", "args", "k", "kwargs")
    assert WILD.has_required
    assert not of(int, default=3).has_required


def test_callables_of_the_payload() -> None:
    """key=, label= and tags= are called as the body is, with the values before encoding; their exceptions pass."""
    bound = WILD.bind((1, "x", 2), {"k": 3, "z": 0.5})
    assert WILD.call(lambda *args, **kwargs: (args, kwargs), bound) == ((1, "x", 2), {"k": 3, "z": 0.5})
    assert WILD.as_mapping(bound) == {"a": 1, "b": "x", "args": (2,), "k": 3, "kwargs": {"z": 0.5}}
    point = Point(1)
    assert of(Point).call(lambda value: value is point, of(Point).bind((point,), {}))
    with pytest.raises(ZeroDivisionError):
        SCAN.call(lambda path, depth, follow: depth / 0, SCAN.bind(("a",), {}))


def test_defaults_are_not_shared() -> None:
    """What one run does to a mutable default is not seen by the next."""
    codec = of(list[int], default=[1])
    (first,), _ = codec.decode("{}")
    first.append(2)
    assert codec.decode("{}") == (([1],), {})
    assert text_of(codec) == '{"value":[1]}'


def test_default_of_none() -> None:
    """A parameter that defaults to None takes None whatever its annotation says."""
    assert text_of(of(int, default=None)) == '{"value":null}'
    assert of(Point, default=None).decode('{"value":null}') == ((None,), {})


# ── refusals ────────────────────────────────────────────────────────────────────────────────────


def nested(levels: int, inner: Any = 0) -> Any:
    for level in range(levels):
        inner = [inner] if level % 2 else {"k": inner}
    return inner


BAD_LEAVES = [
    math.nan,
    math.inf,
    -math.inf,
    Real("nan"),
    2**63,
    -(2**63) - 1,
    10**5000,
    Number(2**63),
    "\ud800",
    "ok\udfff",
    Text("\ud800"),
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("-Infinity"),
    1j,
    object(),
    {True: 1},
    {None: 1},
    {(1, 2): 1},
    {"\ud800": 1},
    {2**63: 1},
    {math.nan: 1},
    {1: "a", "1": "b"},
    {2**63},
    {frozenset({math.inf})},
    Uncompared(math.nan),
    Point(2**63),
    Row(1, math.nan),
    Circle(math.inf),
    range(3),
    int,
    nested(101),
    nested(5000),
]

wrappings = st.lists(
    st.sampled_from(
        [
            lambda value: [1, value],
            lambda value: (value, "x"),
            lambda value: {"k": value, "j": None},
            lambda value: {5: value},
            lambda value: Row(3, value),
            lambda value: [Point(1), value],
        ]
    ),
    max_size=6,
)


@pytest.mark.parametrize("bad", BAD_LEAVES, ids=[f"{at}-{type(bad).__name__}" for at, bad in enumerate(BAD_LEAVES)])
def test_refused_anywhere(bad: Any) -> None:
    """What S-024 forbids, and what JSON cannot stand for, is found anywhere in a payload, memo or state."""
    codec = of(None)
    memo = MemoCodec(lambda ctx: None, task_name="test::memo")

    @settings(max_examples=20)
    @given(wrappings)
    def check(wrap: list[Callable[[Any], Any]]) -> None:
        value = functools.reduce(lambda inner, each: each(inner), wrap, bad)
        with pytest.raises(InvalidTask, match=r"test::body: parameter [\"']value.*expected .*got") as caught:
            text_of(codec, value)
        assert caught.value.field == "value"
        with pytest.raises(InvalidTask, match=r"test::memo: memo [\"']memo.*expected .*got"):
            memo.encode(value, max_bytes=MAX)
        with pytest.raises(InvalidTask, match="state: "):
            encode_json(value, what="state", max_bytes=MAX)

    check()


@pytest.mark.parametrize(
    ("annotation", "bad"),
    [
        (float, math.nan),
        (float | None, math.nan),
        (list[float | None], [1.0, math.inf]),
        (Point, Point(1, math.nan)),
        (Uncompared, Uncompared(math.nan)),
        (list[Uncompared], [Uncompared(1.0), Uncompared(math.nan)]),
        (int, 2**63),
        (float, 2**63),
        (dict[int, int], {-(2**63) - 1: 1}),
        (Circle, Circle(math.nan)),
        (str, "\ud800"),
        (Decimal, Decimal("NaN")),
        (Decimal, Decimal("Infinity")),
        (dict[Decimal, int], {Decimal("-Infinity"): 1}),
        (Hidden, Hidden(Decimal("NaN"))),
        (set[float], {math.nan}),
    ],
)
def test_refused_under_annotations(annotation: Any, bad: Any) -> None:
    """An annotation, and a class whose `==` leaves a field out, hide nothing."""
    with pytest.raises(InvalidTask, match=r"parameter .*value.*expected .*got"):
        text_of(of(annotation), bad)


@pytest.mark.parametrize(
    ("annotation", "value", "parts"),
    [
        (int, "x", ["'value'", "expected int", "str"]),
        (int, True, ["'value'", "expected int", "bool"]),
        (int, 1.5, ["'value'", "expected int", "float"]),
        (list[Point], [Point(1), Point("x")], ["'value[1].x'", "Point", "Expected int, got str"]),  # type: ignore[arg-type]
        (Color, "green", ["'value'", "Color", "str"]),
        (datetime, "yesterday", ["'value'", "datetime", "str"]),
        (tuple[int, str], (1,), ["'value'", "tuple[int, str]", "tuple"]),
        (Annotated[int, msgspec.Meta(ge=0)], -1, ["'value'", ">= 0", "int"]),
    ],
)
def test_misfit_of_types(annotation: Any, value: Any, parts: list[str]) -> None:
    """A value that does not decode to its annotation is refused with parameter, what was expected and what came."""
    with pytest.raises(InvalidTask) as caught:
        text_of(of(annotation), value)
    for part in ["test::body", *parts]:
        assert part in str(caught.value)
    assert caught.value.field == "value"


def test_values_stay_out_of_messages() -> None:
    """A refusal names the type of what came, not the value, which may be a secret."""
    with pytest.raises(InvalidTask) as caught:
        text_of(of(int), "hunter2")
    assert "hunter2" not in str(caught.value)


def test_int64_bounds() -> None:
    """The first and last accepted integers come back; so do strings and floats of many digits."""
    for value in (2**63 - 1, -(2**63), [2**63 - 1, -(2**63)], "1" * 40, 1e300, {"9" * 30: 1}):
        assert there_and_back(None, value) == value


def test_depth_bound() -> None:
    """100 levels of nesting are accepted, 101 are not; brackets in text do not count."""
    assert there_and_back(None, nested(100)) == nested(100)
    brackets = '[[[{{{"\\]' * 50
    assert there_and_back(None, nested(100, brackets)) == nested(100, brackets)
    assert there_and_back(None, [["\\"] * 200, brackets]) == [["\\"] * 200, brackets]
    hidden = ["]" * 60, nested(101), "[" * 60]
    with pytest.raises(InvalidTask, match="at most 100 levels"):
        text_of(of(None), hidden)
    assert decode_json(encode_json(nested(100), what="state", max_bytes=MAX)) == nested(100)
    with pytest.raises(InvalidTask, match="at most 100 levels"):
        encode_json(nested(101), what="state", max_bytes=MAX)


def test_cycle() -> None:
    """A structure that contains itself is refused as too deep."""
    cycle: list[Any] = []
    cycle.append(cycle)
    tree = Tree("t")
    tree.children.append(tree)
    for annotation, value in ((None, cycle), (Tree, tree), (None, tree)):
        with pytest.raises(InvalidTask, match="at most 100 levels"):
            text_of(of(annotation), value)


def test_foreign_equality() -> None:
    """A class whose `==` raises does no harm."""

    @dataclasses.dataclass(eq=False)
    class Touchy:
        x: int

        def __eq__(self, other: object) -> bool:
            raise RuntimeError

        __hash__ = None  # type: ignore[assignment]  # as dataclass does it

    assert there_and_back(Touchy, Touchy(1)).x == 1


@pytest.mark.parametrize("filler", ["x", "é", 7])
def test_size_bound(filler: Any) -> None:
    """The bound is in bytes of the text: as many are accepted, one more is PayloadTooLarge with both numbers."""
    codec, value = of(None), [filler] * 100
    size = len(text_of(codec, value).encode())
    bound = codec.bind((value,), {})
    assert codec.encode(bound, max_bytes=size)
    with pytest.raises(PayloadTooLarge, match="payload") as caught:
        codec.encode(bound, max_bytes=size - 1)
    assert (caught.value.size, caught.value.maximum) == (size, size - 1)
    tuples = codec.bind(({5: tuple(value)},), {})  # the slow way
    with pytest.raises(PayloadTooLarge):
        codec.encode(tuples, max_bytes=size)


def test_ordinary_payloads_take_the_fast_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments of the annotated types are not walked in Python, whether there is a None among them or not."""

    def body(
        ctx: Context, path: str, depth: int | None = None, sizes: dict[str, list[float]] | None = None
    ) -> None: ...

    codec = PayloadCodec(body, task_name="test::body")
    monkeypatch.setattr(codec_module, "canonical", pytest.fail)
    assert text_of(codec, "/") == '{"depth":null,"path":"/","sizes":null}'
    assert text_of(codec, "/", 3, {"a": [0.5]}) == '{"depth":3,"path":"/","sizes":{"a":[0.5]}}'
    assert text_of(of(None), [{"a": None}, 1]) == '{"value":[{"a":null},1]}'


# ── decoding ────────────────────────────────────────────────────────────────────────────────────


@dataclasses.dataclass
class Picky:
    x: int

    def __post_init__(self) -> None:
        if self.x < 0:
            raise KeyError(self.x)


def test_misfit_by_a_class_of_the_user() -> None:
    """A class that refuses its own fields when it is decoded is refused at submit, with the parameter."""

    def body(ctx: Context, first: int, value: Picky) -> None: ...

    codec = PayloadCodec(body, task_name="test::body")
    picky = Picky(1)
    picky.x = -1
    with pytest.raises(InvalidTask, match=r"parameter 'value': expected .*Picky.*KeyError") as caught:
        text_of(codec, 1, picky)
    assert caught.value.field == "value"
    assert isinstance(caught.value.__cause__, KeyError)


@given(st.text() | plain.map(json.dumps) | st.dictionaries(st.sampled_from(["value", "x"]), plain).map(json.dumps))
def test_decode_never_crashes(text: str) -> None:
    """Whatever the stored text, decoding gives arguments or UndecodablePayload."""
    for codec in DECODERS:
        try:
            args, kwargs = codec.decode(text)
        except UndecodablePayload:
            continue
        assert isinstance(args, tuple)
        assert isinstance(kwargs, dict)


DECODERS = [of(None), of(int), of(list[Point]), of(Movie), of(datetime), of(Picky), of(Circle | Square), WILD, SCAN]


@pytest.mark.parametrize(
    ("annotation", "text", "reason"),
    [
        (int, '{"value":"x"}', "value: Expected int, got str"),
        (int, "{}", "missing required field value"),
        (int, '{"value":1,"other":2}', "unknown field other"),
        (int, "[1]", "Expected object, got array"),
        (int, "", "truncated"),
        (Any, '{"value":' + "[" * 100_000 + "]" * 100_000 + "}", "RecursionError"),
        (Any, '{"value":"\ud800"}', "UnicodeEncodeError"),
        (Any, '{"value":NaN}', "malformed"),
        (list[Point], '{"value":[{"x":1},{"y":1}]}', r"value\[1\]: .*missing required field x"),
        (Picky, '{"value":{"x":-1}}', "KeyError"),
    ],
)
def test_undecodable(annotation: Any, text: str, reason: str) -> None:
    """A payload that does not fit (any more) is refused with the place and the reason; no field is dropped silently."""
    with pytest.raises(UndecodablePayload, match=reason):
        of(annotation).decode(text)


# ── definitions ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        ("Nowhere", "Nowhere"),
        ("list[", "list"),
        (range, "range"),
        (list[range], "range"),
        (Callable[[int], int], "Callable"),
        (complex, "complex"),
        (type, "type"),
        (Text, "Text"),
        (msgspec.Raw, "Raw"),
        (Point | Tree, "tag"),
        (Union[str, datetime], "str"),  # noqa: UP007
        (Odd, "Enum"),
        (dict[str, list[range]], "range"),
    ],
)
def test_refused_definitions(annotation: Any, reason: str) -> None:
    """An annotation that cannot be resolved or decoded to is refused when the task is defined, with the parameter."""
    with pytest.raises(InvalidTask, match=rf"test::body: value: .*{reason}") as caught:
        of(annotation)
    assert caught.value.field == "value"


def test_refused_signatures() -> None:
    """A body without room for the context, with a mangled name, or without signature is refused."""
    with pytest.raises(InvalidTask, match="takes the context first"):
        PayloadCodec(lambda: None, task_name="test::body")
    with pytest.raises(InvalidTask, match="__secret"):
        PayloadCodec(lambda ctx, __secret: None, task_name="test::body")
    with pytest.raises(InvalidTask, match="readable signature"):
        PayloadCodec(5, task_name="test::body")  # type: ignore[arg-type]  # that is the point


def test_annotation_of_the_context() -> None:
    """The context may be annotated with a name that only type checkers know."""
    assert "Context" not in globals()
    assert scan.__annotations__["ctx"] == "Context"
    assert SCAN.names == ("path", "depth", "follow")


def test_closure_names() -> None:
    """A body's annotations may name what its closure holds."""

    @dataclasses.dataclass
    class Local:
        x: int

    def body(ctx: Context, value: Local) -> Local:
        return Local(value.x)

    codec = PayloadCodec(body, task_name="test::body")
    assert codec.decode(text_of(codec, Local(1))) == ((Local(1),), {})
    assert MemoCodec(body, task_name="test::body").decode('{"x":2}') == Local(2)


def test_wrapped_and_callable_objects() -> None:
    """A decorated function, a partial and an object that can be called have the signature Python shows."""

    @functools.wraps(scan)
    def wrapped(*args: Any, **kwargs: Any) -> Any: ...

    class Body:
        def __call__(self, ctx: Context, path: Point) -> None: ...

    assert PayloadCodec(wrapped, task_name="test::body").names == SCAN.names
    assert PayloadCodec(functools.partial(scan, depth=5), task_name="test::body").names == SCAN.names
    codec = PayloadCodec(Body(), task_name="test::body")
    assert codec.decode(text_of(codec, Point(1))) == ((Point(1),), {})


def test_several_leading_parameters() -> None:
    """A finalizer's context and memo are no payload."""
    codec = PayloadCodec(lambda ctx, memo, value: None, task_name="test::body", skip=2)
    assert codec.names == ("value",)


# ── memos and states ────────────────────────────────────────────────────────────────────────────


def memo_of(annotation: Any) -> MemoCodec:
    def body(ctx: Context) -> Any: ...

    body.__annotations__["return"] = annotation
    return MemoCodec(body, task_name="test::body")


@pytest.mark.parametrize(("annotation", "values"), CASES[1:], ids=[str(annotation) for annotation, _ in CASES[1:]])
def test_memo_round_trip(annotation: Any, values: st.SearchStrategy[Any]) -> None:
    """A memo comes back by the return annotation."""
    codec = memo_of(annotation)

    @given(values)
    def check(value: Any) -> None:
        assert codec.decode(codec.encode(value, max_bytes=MAX)) == value

    check()


def test_memo() -> None:
    """None is null; the plain form needs no annotation; one that does not fit is refused with "memo" in the message."""
    codec = memo_of(Point)
    text = codec.encode(Point(1), max_bytes=MAX)
    assert codec.decode_plain(text) == {"note": None, "x": 1, "y": 0.0}
    assert memo_of(None).encode(None, max_bytes=4) == "null"
    assert memo_of(NoReturn).decode("[1]") == [1]
    assert MemoCodec(lambda ctx: None, task_name="t").decode("[1]") == [1]
    with pytest.raises(InvalidTask, match=r"test::body: memo .*Point.*str") as caught:
        codec.encode("x", max_bytes=MAX)
    assert caught.value.field == "memo"
    with pytest.raises(PayloadTooLarge, match="memo: expected at most 3 bytes"):
        codec.encode(Point(1), max_bytes=3)
    with pytest.raises(UndecodablePayload, match="Expected object, got array"):
        codec.decode("[1]")
    with pytest.raises(InvalidTask, match="return"):
        memo_of(range)


@given(plain)
def test_plain_round_trip(value: Any) -> None:
    """A state comes back as plain JSON, from canonical text."""
    text = encode_json(value, what="state", max_bytes=MAX)
    assert decode_json(text) == value
    assert_canonical(text)


def test_state_size() -> None:
    """A state over the bound is PayloadTooLarge under its own name."""
    assert encode_json("xy", what="state", max_bytes=4) == '"xy"'
    with pytest.raises(PayloadTooLarge, match="state: "):
        encode_json("xyz", what="state", max_bytes=4)
    with pytest.raises(UndecodablePayload):
        decode_json("{")
