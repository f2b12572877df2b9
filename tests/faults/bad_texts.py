"""Mutated JSON, TOML and tables, one per seed: values of other types, keys that are gone or doubled, broken bytes."""

import copy
import json
import random
from collections.abc import Callable
from typing import Any

DEEP = "[" * 50_000 + "]" * 50_000
#: What a program may stumble over in the place of any value.
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 1.5, 10**20, -(10**20), 10**400, 1e308, -1e308, 5e-324, float("nan"), float("inf"),
    float("-inf"), "", " ", "x", "n/a", "NaN", "1", "0", "-1", "1e999", "../../etc", "/", "a/b", "a\x00b", "\u202eabc",
    "\ud800", "<script>alert(1)</script>", "line\nline", "tab\ttab", "\x1b[2J", "\u00e9" * 300, "9" * 5000,
    "x" * 100_000, [], {}, [[]], [None], [[], []], {"": None}, {"a": {"b": []}}, [1, "x", None], [0] * 3, [1e999] * 3,
    list(range(5000)), ["x"] * 3, {"name": 1, "folder": ["x"], "fold": {}},
)  # fmt: skip


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where values stand in nested objects and lists."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, one in inner for place in _places(one, (*at, key)))]


def _holder(content: Any, place: tuple[Any, ...]) -> Any:
    for key in place[:-1]:
        content = content[key]
    return content


def _change(content: Any, chance: random.Random) -> Any:
    place = chance.choice(_places(content))
    if not place:
        return chance.choice(VALUES) if chance.random() < 0.2 else content
    holder, key, kind = _holder(content, place), place[-1], chance.random()
    if kind < 0.65:
        holder[key] = copy.deepcopy(chance.choice(VALUES))
    elif kind < 0.8:
        del holder[key]
    elif kind < 0.9:
        holder[key] = [holder[key]] if chance.random() < 0.5 else {str(key): holder[key]}
    elif isinstance(holder, dict):
        holder[chance.choice(["", "\x00", "x" * 5000, "__class__", "\u202e", key + " "])] = holder[key]
    else:
        holder.extend(copy.deepcopy(holder) * chance.randint(1, 50))
    return content


def as_json(content: Any, chance: random.Random) -> str:
    """Text of a mutated object, sometimes with a key that comes twice or with a value nested too deeply."""
    content = copy.deepcopy(content)
    for _ in range(chance.randint(1, 3)):
        content = _change(content, chance)
    text = json.dumps(content, indent=chance.choice([None, 2]), ensure_ascii=chance.random() < 0.5)
    if text.startswith("{") and len(text) > 2 and chance.random() < 0.15:
        key = chance.choice(sorted(map(str, content)))
        value = chance.choice(["null", "1", '"x"', "NaN", "-Infinity", "1" + "0" * 5000, DEEP])
        text = text[: text.rindex("}")] + f", {json.dumps(key)}: {value}}}"
    return text


def as_toml(content: dict[str, Any], chance: random.Random) -> str:
    """Lines of a mutated table; some are no TOML."""
    lines = [f"{key} = {_toml(value)}" for key, value in content.items()]
    for _ in range(chance.randint(1, 3)):
        key = chance.choice([*content, "unknown"])
        value = chance.choice(
            ["", "[[", "1979-05-27", "nan", "-inf", "+", DEEP, "9" * 30, _toml(chance.choice(VALUES))]
        )
        lines.insert(chance.randint(0, len(lines)), f"{key} = {value}")
        if chance.random() < 0.7:
            lines = [line for line in lines if not line.startswith(f"{key} = ") or line.endswith(value)]
    return "\n".join(lines)


def _toml(value: Any) -> str:
    match value:
        case bool() | None:
            return str(bool(value)).lower()
        case float():
            return repr(value)
        case dict():
            return "{" + ", ".join(f"{json.dumps(str(key))} = {_toml(one)}" for key, one in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case _:
            return json.dumps(value)


def as_table(content: list[list[str]], chance: random.Random) -> str:
    """Lines of a mutated table."""
    rows = [list(row) for row in content]
    for _ in range(chance.randint(1, 4)):
        row = chance.choice(rows)
        kind = chance.random()
        if kind < 0.6 and row:
            row[chance.randrange(len(row))] = str(chance.choice(VALUES))[:2000]
        elif kind < 0.7:
            row.append("more")
        elif kind < 0.8 and row:
            del row[chance.randrange(len(row))]
        elif kind < 0.9:
            rows.insert(chance.randint(0, len(rows)), list(row))
        elif len(rows) > 1:
            rows.remove(row)
    separator = chance.choice(["\t"] * 12 + [",", ";", " ", "\t\t"])
    return "\n".join(separator.join(row) for row in rows) + chance.choice(["\n", "", "\n\n"])


def _bytes(content: bytes, chance: random.Random) -> bytes:
    """Broken on the way: another coding, ends of lines, cut, some bytes others, something before or behind."""
    at = chance.randint(0, len(content))
    changes: tuple[Callable[[], bytes], ...] = (
        lambda: b"\xef\xbb\xbf" + content,
        lambda: content.replace(b"\n", b"\r\n"),
        lambda: content.replace(b"\n", b"\r"),
        lambda: content.decode(errors="replace").encode("utf-16"),
        lambda: content.decode(errors="replace").encode("latin-1", "replace").replace(b"e", b"\xe9", 1),
        lambda: content[:at],
        lambda: content[:at] + chance.randbytes(chance.randint(1, 8)) + content[at:],
        lambda: content[:at] + b"\x00" + content[at + 1 :],
        lambda: content[:at] + chance.choice([b'"', b"\\", b"{", b"]", b",", b"\t", b"\n", b"'", b"#"]) + content[at:],
        lambda: content + content,
        lambda: bytes(len(content)),
        lambda: b"",
        lambda: b"\n" * 10,
        lambda: chance.randbytes(200),
        lambda: DEEP.encode(),
        lambda: b'{"a":' * 30_000,
    )
    return chance.choice(changes)()


WRITERS: dict[str, Callable[[Any, random.Random], str]] = {".json": as_json, ".toml": as_toml, ".tsv": as_table}


def mutated(seed: int, content: Any, kind: str) -> bytes:
    """The bytes of a seed; ``kind`` is the ending of the file."""
    chance = random.Random(seed)
    text = WRITERS[kind](content, chance).encode("utf-8", "surrogatepass")
    return _bytes(text, chance) if chance.random() < 0.35 else text
