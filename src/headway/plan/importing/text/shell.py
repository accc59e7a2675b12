"""Shell scripts as the commands they hold: words with their places, variables filled in, nothing executed.

Owns quoting, continued lines, comments, assignments, `$NAME`, `${NAME:-default}` and whole-number arithmetic
(`$((16 / n))`, `$(expr 16 / $n)`); what else a shell can do stays text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Final

from headway.domain.errors import Position
from headway.plan.reading.yaml import Map, Seq, Text

MOST_CHARACTERS: Final = 1_000_000
MOST_WORDS: Final = 5_000
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?[-=]([^{}]*))?\}|(\w+))")
_ARITHMETIC = re.compile(r"\$\(\((.*?)\)\)|\$\(\s*expr\s+([^()]*)\)|`\s*expr\s+([^`]*)`")
_ENDS: Final = frozenset({";", "&&", "||", "|", "&", "\n"})
_WORD = re.compile(
    r"""(?P<gap>[ \t]+|\\[ \t]*\r?\n[ \t]*)|(?P<comment>\#[^\n]*)|(?P<end>\r?\n|&&|\|\||;|\||&)
    |(?P<word>(?:\\[^\n\r]|'[^']*'|"(?:[^"\\]|\\.)*"|\$\(\([^\n]*?\)\)|\$\([^()\n]*\)|`[^`\n]*`|[^\s;|&\\'"]|['"])+)
    |(?P<other>\\|\r)""",
    re.VERBOSE | re.DOTALL,
)
_LEADING: Final = frozenset("then do else export env time nohup sudo exec srun ( { !".split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One simple command: the variables that hold for it, and its words."""

    words: tuple[Text, ...]
    variables: dict[str, str] = field(default_factory=dict)
    times: int = 1
    """How often the loops around it run it."""


def commands(name: str, text: str) -> tuple[Command, ...]:
    """The commands of a script, in order, with the variables assigned before them and in front of them."""
    script = _Script()
    for line in _lines(name, text[:MOST_CHARACTERS]):
        script.read(line)
    return tuple(script.found)


class _Script:
    """What is known while a script is read: variables, arrays, the loops around a line."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.arrays: dict[str, list[Text]] = {}
        self.loops: list[int] = []
        self.open: list[Text] | None = None
        self.found: list[Command] = []

    def read(self, line: list[Text]) -> None:
        """One line: it fills an array, assigns, opens or closes a loop, or is a command."""
        words = self._array(line)
        own: dict[str, str] = {}
        first = list(words)
        while words and (words[0] in _LEADING or _ASSIGNMENT.fullmatch(words[0])):
            if assigned := _ASSIGNMENT.fullmatch(words.pop(0)):
                own[assigned[1]] = filled(assigned[2], {**self.known, **own})
        if words[:1] == ["for"] and words[2:3] == ["in"] and len(words) > 3:
            self.known[str(words[1])] = filled(words[3], self.known)
            self.loops.append(len(words) - 3)
        elif words[:1] == ["done"]:
            del self.loops[-1:]
        elif words:
            both = {**self.known, **own}
            made = tuple(part for word in _kept(words) for part in self._filled(word, both))[:MOST_WORDS]
            self.found.append(Command(words=made, variables=both, times=prod(self.loops)))
        if not words or first[:1] == ["export"]:
            self.known |= own

    def _array(self, line: list[Text]) -> list[Text]:
        """What is left of a line when `NAME=( ... )` is taken out of it; arrays may span lines."""
        left: list[Text] = []
        for found in line:
            word = found
            begins = re.fullmatch(r"(\w+)\+?=\((.*)", word, re.DOTALL) if self.open is None else None
            if begins is not None:
                self.open = self.arrays.setdefault(begins[1], [])
                word = Text(begins[2], word.where, word.quoted)
            if self.open is None:
                left.append(word)
                continue
            if body := word.removesuffix(")"):
                self.open.append(Text(body, word.where, word.quoted))
            if word.endswith(")") and not word.quoted:
                self.open = None
        return left

    def _filled(self, word: Text, known: dict[str, str]) -> list[Text]:
        """A word with its variables filled in: several words for an array, and for text without quotes."""
        array = re.fullmatch(r"\$\{(\w+)\[[@*]\]\}", word)
        if array is not None and array[1] in self.arrays:
            return [Text(filled(one, known), one.where, one.quoted) for one in self.arrays[array[1]]]
        text = filled(word, known)
        if word.quoted or not re.fullmatch(r"\$\w+|\$\{\w+\}", word) or not re.search(r"\s", text):
            return [Text(text, word.where, word.quoted)]
        return [Text(_unquoted(part), word.where) for part in text.split()]


def _kept(words: list[Text]) -> Iterator[Text]:
    """The words without redirections: `> log`, `2>log`, `< file`."""
    skip = False
    for word in words:
        redirects = re.fullmatch(r"\d*(?:>>?|<(?!.*>$))(.*)", word, re.DOTALL) if not word.quoted else None
        if redirects is None and not skip:
            yield word
        skip = redirects is not None and not redirects[1]


def _lines(name: str, text: str) -> Iterator[list[Text]]:
    """Words of each command, quotes taken away.

    A comment between continued lines is skipped with its line: bash ends the command there, which nobody means.
    """
    words: list[Text] = []
    line, start, seen = 1, 0, 0
    gap, continued, commented = True, False, False
    for match in _WORD.finditer(text):
        kind, found = match.lastgroup, match.group()
        if kind == "comment" and not gap:  # a # inside a word (model#1000) is part of it
            kind = "word"
        where = Position(name, line, match.start() - start + 1)
        line += found.count("\n")
        if "\n" in found:
            start = match.start() + found.rindex("\n") + 1
        if kind == "word":
            if gap or not words:
                words.append(Text(_unquoted(found), where, quoted=found[:1] in "'\""))
            else:
                words[-1] = Text(words[-1] + _unquoted(found), words[-1].where, words[-1].quoted)
            seen += 1
        elif kind == "end" and words and not commented:
            yield words
            words = []
        gap = kind != "word"
        if kind == "gap":
            continued = continued or "\n" in found
        elif kind == "word" or not (kind == "comment" or commented):
            continued = False
        commented = kind == "comment" and continued
        if seen > MOST_WORDS:
            return
    if words:
        yield words


def _unquoted(word: str) -> str:
    """A word without its quotes; a variable in single quotes stays text."""
    return re.sub(
        r"""'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)""",
        lambda m: next((part for part in m.groups() if part is not None), ""),
        word,
        flags=re.DOTALL,
    )


def filled(text: str, known: dict[str, str]) -> str:
    """`text` with the variables that are known and whole-number arithmetic in it; the others stay as written."""
    for _ in range(4):
        before = text
        text = _VARIABLE.sub(lambda m: known.get(m[1] or m[3], m[2] if m[2] is not None else m[0])[:2000], text)[:9000]
        text = _ARITHMETIC.sub(lambda m: _computed(m[1] or m[2] or m[3] or "", known) or m[0], text)
        if text == before:
            break
    return text


def _computed(text: str, known: dict[str, str]) -> str:
    """`16 / n` of whole numbers, from left to right, products first; empty for anything else."""
    named = re.sub(r"[A-Za-z_]\w*", lambda m: known.get(m[0], m[0]), text.replace("\\*", "*"))
    words = re.findall(r"\d{1,9}|[-+*/%]", named)
    if not words or re.sub(r"[\s()]", "", named) != "".join(words) or len(words) > 15 or "(" in named:
        return ""
    for operators in ("*/%", "+-"):
        at = 1
        while at < len(words) - 1:
            if words[at] in operators and words[at - 1].isdigit() and words[at + 1].isdigit():
                left, right = int(words[at - 1]), int(words[at + 1])
                if words[at] in "/%" and not right:
                    return ""
                made = {"*": left * right, "/": left // (right or 1), "%": left % (right or 1), "+": left + right,
                        "-": left - right}[words[at]]  # fmt: skip
                words[at - 1 : at + 2] = [str(made)]
            else:
                at += 1
    return words[0] if len(words) == 1 and words[0].isdigit() else ""


def flags(words: tuple[Text, ...]) -> Map:
    """`--key value ...`, `--key=value`, `key=value` and bare `--key` (true) as a map; dashes in keys become `_`."""
    tree = Map(where=words[0].where if words else Position())
    key = ""
    for word in words:
        named = re.fullmatch(r"--?([A-Za-z][\w.-]*)(?:=(.*))?", word, re.DOTALL)
        if named is None and not key and (plain := re.fullmatch(r"\+?([A-Za-z][\w.]*)=(.*)", word, re.DOTALL)):
            _add(tree, plain[1], Text(plain[2], word.where), word.where)
        elif named is not None:
            key = named[1].replace("-", "_")
            tree.pop(key, None)
            tree.places[key] = word.where
            if named[2] is not None:
                _add(tree, key, Text(named[2], word.where), word.where)
                key = ""
            else:
                tree[key] = Text("true", word.where)
                tree[key].where = word.where
        elif key:
            held = tree[key]
            if isinstance(held, Text) and held == "true" and held.where == tree.places[key]:
                tree[key] = word
            elif isinstance(held, Seq):
                held.append(word)
            else:
                tree[key] = Seq([held, word], held.where)
    return tree


def _add(tree: Map, key: str, value: Text, where: Position) -> None:
    tree[key] = value
    tree.places[key] = where
