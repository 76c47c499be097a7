"""What is said in the conversation that every pair of providers holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

NAMES = ("openai", "anthropic", "gemini", "mistral", "grok", "qwen", "deepseek", "kimi")
SYSTEM = "You are a guide."
IMAGE = "iVBORw0KGgo="


@dataclass(frozen=True)
class Call:
    """A call: the tool's name, its argument, and what the caller answers; None where it never does."""

    name: str
    city: str
    result: str | None = None

    @property
    def arguments(self) -> str:
        return json.dumps({"city": self.city})


@dataclass(frozen=True)
class Said:
    """An answer, before it is put into the wire of the one who gives it.

    Attributes:
        turn: Its number, which makes signatures, ids and thoughts its own.
        text: The text.
        thinks: Whether a thought goes before it, from those that show theirs.
        calls: Parallel calls.
        refusal: What is said as the answer is refused.
        serves: Whether a tool of the provider's own was used, by those that have one.
        breaks: Whether the stream ends in the middle of the last call.
    """

    turn: int
    text: str = ""
    thinks: bool = False
    calls: Sequence[Call] = ()
    refusal: str = ""
    serves: bool = False
    breaks: bool = False


@dataclass(frozen=True)
class Turn:
    """One turn.

    Attributes:
        to: `A` or `B`.
        asked: The user's text, or the calls whose results are given.
        answer: The answer.
        stream: Whether it is asked for as a stream.
    """

    to: str
    asked: str | Sequence[Call]
    answer: Said
    stream: bool = False
    image: bool = field(default=False)


WEATHER = Call("get_weather", "Oslo", "It snows in Oslo.")
TIME = Call("get_time", "Oslo", "It is noon in Oslo.")
CUT = Call("get_weather", "Paris")
FERRY = Call("get_ferry", "Bergen", "A ferry leaves Bergen at six.")
TRAIN = Call("get_train", "Bergen", "A train leaves Bergen at eight.")

TURNS = (
    Turn(
        "A",
        "Which town is this?",
        Said(1, "It is Oslo.", thinks=True, calls=(WEATHER, TIME), serves=True),
        stream=True,
        image=True,
    ),
    # B takes over in the middle of the calls.
    Turn("B", (WEATHER, TIME), Said(2, "Take a coat.", thinks=True)),
    Turn("A", "How do I break in there?", Said(3, refusal="I will not help with that.")),
    Turn("A", "Then say nothing.", Said(4, thinks=True)),
    Turn("A", "And in Paris?", Said(5, "In Paris it", thinks=True, calls=(CUT,), breaks=True), stream=True),
    Turn("B", "Then by sea?", Said(6, "I look at the ferries.", thinks=True, calls=(FERRY,))),
    # A takes B's call over, and goes on with one of its own.
    Turn("A", (FERRY,), Said(7, "By rail as well?", thinks=True, calls=(TRAIN,), serves=True)),
    Turn("A", (TRAIN,), Said(8, "The ferry is first.", thinks=True)),
    Turn("B", "Thank you.", Said(9, "Have a good trip.", thinks=True), stream=True),
)
