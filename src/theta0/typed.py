"""Words of the command line as a person types them, made what Hydra's grammar reads."""

import os
import re
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

TEXTS = {"study", "tags", "run", "name", "project", "entity", "group", "prefix", "rendezvous"}
"""The last words of keys whose values are texts, whatever they look like: study=1_1."""
PATHS = {
    "run", "path", "ckpt_path", "root", "data_dir", "log_dir", "folder", "checkpoint", "study",
}  # fmt: skip
"""Of keys whose values are files and folders."""
_NO_TEXT = re.compile(
    r"[+-]?(\d[\d_]*(\.[\d_]*)?|\.\d[\d_]*)(e[+-]?\d[\d_]*)?|[+-]?inf|nan|true|false", re.IGNORECASE
)
"""What Hydra reads as a number or a truth value."""


def as_typed(word: str) -> str:
    """The word, with numbers in quotes where its key wants a text, and `~` as the home folder."""
    key, equals, value = word.partition("=")
    last = key.lstrip("+~").rpartition(".")[2]
    if not equals:
        return word
    if last in PATHS and (value == "~" or value.startswith("~/")):
        value = os.path.expanduser(value)
    if last in TEXTS | PATHS and not any(sign in value for sign in "'\"(){}"):
        start, end = ("[", "]") if value[:1] == "[" and value[-1:] == "]" else ("", "")
        inner = value[len(start) : len(value) - len(end)]
        parts = [f"'{p}'" if _NO_TEXT.fullmatch(p.strip()) else p for p in inner.split(",")]
        value = f"{start}{','.join(parts)}{end}"
    return f"{key}={value}"


def quoted(text: str) -> str:
    """As Hydra's grammar reads a text, whatever signs it has."""
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + (m[2] and r"\'"), text)
    return f"'{escaped}'"


def is_path(word: str) -> bool:
    """Whether a word's value is a path alone, so that any sign in it belongs to its name."""
    key, _, value = word.partition("=")
    last = key.lstrip("+~").rpartition(".")[2]
    return last in PATHS and last != "study" and not re.search(r"[\[\]{},'\"]", value)


def how_to_quote(word: str) -> str | None:
    """The word with quotes, for Hydra and for the shell, where that is all that it lacks."""
    key, equals, value = word.partition("=")
    if not equals or not re.fullmatch(r"[+~]*[\w./@-]+", key):
        return None
    lists = value[:1] == "[" and value[-1:] == "]"
    parts = value[1:-1].split(",") if lists else value.split(",")
    each = ",".join(part if _reads(part) else _in_quotes(part) for part in parts)
    for text in (f"[{each}]" if lists else each, _in_quotes(value)):
        if _reads(text):
            return _for_the_shell(f"{key}={text}")
    return None


def left_to_cells(words: Sequence[str], key: str) -> list[str] | None:
    """The words, with the value of a key left to a sweep's cells, which may have the key where the
    default options do not; None where there is none to leave."""
    changed = [
        f"{word.partition('=')[0]}=choice({word.partition('=')[2]})"
        if word.partition("=")[0] == key and "choice(" not in word
        else word
        for word in words
    ]
    return changed if changed != list(words) else None


def _reads(value: str) -> bool:
    try:
        OverridesParser.create().parse_override(f"key={value}")
    except HydraException:
        return False
    return True


def _in_quotes(text: str) -> str:
    return f'"{text}"' if "'" in text and not set('"\\') & set(text) else quoted(text)


def _for_the_shell(word: str) -> str:
    if "'" not in word:
        return f"'{word}'"
    if not set('"$`\\!') & set(word):
        return f'"{word}"'
    return "'" + word.replace("'", "'\\''") + "'"
