"""What a Dockerfile says, as far as ours goes (Dockerfile reference, https://docs.docker.com/reference/dockerfile/)."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Instruction:
    """An instruction.

    Attributes:
        keyword: Such as `RUN`, in capitals.
        value: What follows, on one line.
    """

    keyword: str
    value: str

    @property
    def words(self) -> Sequence[str]:
        """The value as words of a shell."""
        return shlex.split(self.value)

    @property
    def pairs(self) -> Mapping[str, str]:
        """The value as `NAME=value` pairs."""
        return dict(word.split("=", 1) for word in self.words)

    @property
    def arguments(self) -> Sequence[str]:
        """The words that are no options."""
        return [word for word in self.words if not word.startswith("--")]

    @property
    def options(self) -> Mapping[str, str]:
        """The `--name=value` options at the beginning."""
        return {name: value for name, _, value in (w[2:].partition("=") for w in self.words if w.startswith("--"))}

    @property
    def command(self) -> Sequence[str]:
        """The command of the exec form, which no shell stands before.

        Raises:
            ValueError: It is in the form that runs a shell.
        """
        command: list[str] = json.loads(self.value[self.value.index("[") :])
        return command


@dataclass(frozen=True)
class Stage:
    """A stage of a build.

    Attributes:
        base: The image that it begins with.
        name: What later stages call it.
        instructions: Its instructions, but for `FROM`.
    """

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, keyword: str) -> Iterator[Instruction]:
        """Yield the instructions of a keyword."""
        return (each for each in self.instructions if each.keyword == keyword)

    def one(self, keyword: str) -> Instruction:
        """Return the only instruction of a keyword."""
        (found,) = self.all(keyword)
        return found


def read_stages(path: Path) -> Sequence[Stage]:
    """Return the stages of a Dockerfile, with `ARG`s before the first one put in."""
    lines = (line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
    text = "\n".join(lines).replace("\\\n", " ")
    stages: list[Stage] = []
    arguments: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        keyword, _, value = line.partition(" ")
        instruction = Instruction(keyword, value.strip())
        if keyword == "FROM":
            base, *named = expand(value, arguments).split(" AS ")
            stages.append(Stage(base.strip(), named[0].strip() if named else ""))
        elif stages:
            stages[-1].instructions.append(instruction)
        else:
            arguments |= instruction.pairs
    return stages


def expand(text: str, values: Mapping[str, str]) -> str:
    """Put values in place of `${NAME}`."""
    return _VARIABLE.sub(lambda found: values[found[1]], text)
