"""Conversations that come from elsewhere: nothing foreign is sent, one's own is replayed, and the report is exact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from orchestrator_core.provider_api import (
    Message,
    OpaquePart,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    text_message,
)
from orchestrator_core.testing.bench import INSTANCE, Bench
from orchestrator_core.testing.judge import contains, require
from orchestrator_core.testing.scenes import HELLO, PLAIN, SIGNED_CALLS, THOUGHT, TOOLS, Scene, history
from orchestrator_core.testing.suite import Suite, proves


@dataclass(frozen=True, slots=True)
class Damage:
    """A history in which one thing is wrong.

    Attributes:
        messages: The history.
        subject: What its repair is reported as.
        sent: What has to be in the request all the same.
        dropped: What may be left out, and is reported as dropped exactly where it is.
        silent: Whether a vendor may take it as it is, so that there is nothing to report.
    """

    messages: Sequence[Message]
    subject: str
    sent: str = "KIT-TWO"
    dropped: str | None = None
    silent: bool = False


ELSEWHERE = {"kit-elsewhere": {"signature": "KIT-FOREIGN-SIGNATURE", "field": "kit_foreign_field"}}
LEFT_BEHIND = history(
    text_message("system", "KIT-SYSTEM: be brief."),
    text_message("user", "KIT-ONE"),
    Message(
        role="assistant",
        parts=(
            ReasoningPart(text="KIT-FOREIGN-THOUGHT", provider_metadata=ELSEWHERE),
            OpaquePart(provider_metadata=ELSEWHERE),
            TextPart(text="KIT-TWO", provider_metadata=ELSEWHERE),
        ),
    ),
    text_message("user", "KIT-THREE"),
)
"""What another provider answered, complete."""

_ANSWERED = (
    Message(
        role="assistant",
        parts=(ToolCallPart(id="call:a/1", name="weather", arguments='{"city": "KIT-PARIS"}'),),
    ),
    Message(role="tool", parts=(ToolResultPart(tool_call_id="call:a/1", content="KIT-RESULT"),)),
)
_PENDING = ToolCallPart(id="call:a/2", name="clock", arguments='{"zone": "KIT-ZONE"}', provider_metadata=ELSEWHERE)
_CUT = Message(role="assistant", parts=(ToolCallPart(id="cut", name="weather", arguments='{"city": "KIT-CU'),))
_CUT_RESULT = Message(role="tool", parts=(ToolResultPart(tool_call_id="cut", content="KIT-NONE"),))
_ORPHAN = Message(role="tool", parts=(ToolResultPart(tool_call_id="nobody", content="KIT-ORPHAN"),))
_ONE, _TWO = text_message("user", "KIT-ONE"), text_message("user", "KIT-TWO")

DAMAGES: Mapping[str, Damage] = {
    "a call without a result": Damage(
        history(_ONE, Message(role="assistant", parts=(_PENDING,)), _TWO), "tool_call", sent="KIT-ZONE"
    ),
    "a result without a call": Damage(history(_ONE, *_ANSWERED, _ORPHAN, _TWO), "tool_result", dropped="KIT-ORPHAN"),
    "an empty answer": Damage(history(_ONE, Message(role="assistant", parts=()), _TWO), "message", silent=True),
    "arguments that were cut off": Damage(
        history(_ONE, _CUT, _CUT_RESULT, _TWO),
        "tool_call",
        sent="KIT-CU",
        silent=True,
    ),
}
"""What can be wrong with a history, one at a time, so that each report can be told from the others."""

BROKEN = history(
    _ONE,
    Message(role="assistant", parts=(*_ANSWERED[0].parts, _PENDING)),
    _ANSWERED[1],
    _ORPHAN,
    _TWO,
    Message(role="assistant", parts=()),
    text_message("user", "KIT-THREE"),
    Message(role="assistant", parts=(RefusalPart(text="KIT-REFUSED"),)),
    _CUT,
    text_message("user", "KIT-FOUR"),
)
"""All of it at once, and a refusal."""


class PortabilityChecks(Suite):
    """A conversation that another provider began."""

    @proves("chat")
    def test_nothing_foreign_is_sent(self) -> None:
        """Metadata, thoughts and opaque parts of another provider stay behind; all that was said is sent."""
        self.fake()

        async def work(bench: Bench) -> None:
            heard = await bench.hear(PLAIN, messages=LEFT_BEHIND)
            text = heard.request.raw.decode()
            for foreign in ("KIT-FOREIGN-SIGNATURE", "kit_foreign_field", "kit-elsewhere", "KIT-FOREIGN-THOUGHT"):
                require(foreign not in text, f"{foreign} of another provider is sent")
            for wanted in ("KIT-SYSTEM", "KIT-ONE", "KIT-TWO", "KIT-THREE"):
                require(contains(heard.request.body, wanted), f"{wanted} is missing in the request")

        self.run(work)

    @proves("chat")
    def test_what_stays_behind_is_reported_exactly(self) -> None:
        """The report names what was left out, and nothing that was not."""
        self.fake()

        async def work(bench: Bench) -> None:
            heard = await bench.hear(PLAIN, messages=LEFT_BEHIND)
            lost = {made.subject for made in heard.response.adjustments if made.action != "mapped"}
            require(lost == {"reasoning", "opaque"}, f"reasoning and an opaque part were left out, reported: {lost}")
            strict = await bench.hear(PLAIN, messages=LEFT_BEHIND, strict=True)
            require(
                strict.error is None, f"strictly, another provider's parts are left out all the same: {strict.error}"
            )
            clean = await bench.hear(PLAIN, messages=(*HELLO, text_message("assistant", "KIT-YES"), *HELLO))
            require(
                not clean.response.adjustments, f"a plain conversation needs no change: {clean.response.adjustments}"
            )

        self.run(work)

    @proves("chat", "function_calling")
    def test_a_broken_conversation_is_repaired(self) -> None:
        """Each call is sent with one result, each result with its call; an empty answer does no harm."""
        fake = self.fake()

        async def work(bench: Bench) -> None:
            heard = await bench.hear(PLAIN, messages=BROKEN, tools=TOOLS)
            response, body = heard.response, heard.request.body
            calls, results = fake.call_ids(body)
            require(sorted(calls) == sorted(results), f"calls {calls} and results {results} do not pair")
            for wanted in ("KIT-PARIS", "KIT-RESULT", "KIT-REFUSED", "KIT-ONE", "KIT-TWO", "KIT-THREE", "KIT-FOUR"):
                require(contains(body, wanted), f"{wanted} is missing in the request")
            require(response.complete, "the answer to a repaired conversation does not arrive")

        self.run(work)

    @proves("chat", "function_calling")
    @pytest.mark.parametrize("kind", DAMAGES)
    def test_a_repair_is_reported_as_what_it_is(self, kind: str) -> None:
        """What was said in other words is `mapped`, what was left out `dropped`, and nothing else is reported."""
        fake, damage = self.fake(), DAMAGES[kind]

        async def work(bench: Bench) -> None:
            heard = await bench.hear(PLAIN, messages=damage.messages, tools=TOOLS)
            response, body = heard.response, heard.request.body
            calls, results = fake.call_ids(body)
            require(sorted(calls) == sorted(results), f"calls {calls} and results {results} do not pair")
            require(contains(body, damage.sent), f"{damage.sent} is missing in the request")
            # What else the vendor's wire wants in other words, such as an empty thought beside each call, is no loss.
            found = {
                (made.subject, made.action)
                for made in response.adjustments
                if made.subject == damage.subject or made.action != "mapped"
            }
            left_out = damage.dropped is not None and not contains(body, damage.dropped)
            wanted = {(damage.subject, "dropped" if left_out else "mapped")}
            right = found == wanted or (damage.silent and not found)
            require(right, f"{kind} is reported as {sorted(found)}, and what was sent says {sorted(wanted)}")

        self.run(work)

    @proves("chat", "function_calling")
    def test_the_history_is_not_changed(self) -> None:
        """A call leaves the stored conversation as it is, and what the provider noted of its own answers too."""

        async def work(bench: Bench) -> None:
            thought = (await bench.hear(THOUGHT, reasoning_effort="low")).response.message
            calls = (await bench.hear(SIGNED_CALLS, tools=TOOLS)).response.message
            own = history(*HELLO, thought, *HELLO, calls, *HELLO)
            for messages in (LEFT_BEHIND, BROKEN, own):
                heard = await bench.hear(PLAIN, messages=messages, tools=TOOLS)
                require(heard.messages == messages, "the call changed the history: compile into new objects")

        self.run(work)

    @proves("chat")
    @pytest.mark.parametrize("scene", [THOUGHT, SIGNED_CALLS], ids=["thought", "calls"])
    def test_only_what_stands_under_its_own_name_is_its_own(self, scene: Scene) -> None:
        """The same metadata under another provider's name is not read: it belongs to another account, or vendor."""
        self.fake()

        async def work(bench: Bench) -> None:
            asked = {"tools": self.tools(TOOLS)} if scene.calls else {"reasoning_effort": "low"}
            answer = (await bench.hear(scene, **asked)).response.message
            foreign = tuple(
                part.model_copy(update={"provider_metadata": made and {"kit-elsewhere": made}})
                for part in answer.parts
                for made in [(part.provider_metadata or {}).get(INSTANCE)]
                if made or not isinstance(part, ReasoningPart)
            )
            results = [
                Message(role="tool", parts=(ToolResultPart(tool_call_id=call.id, content="KIT-GIVEN"),))
                for call in answer.tool_calls
            ]
            messages = history(*HELLO, Message(role="assistant", parts=foreign), *results, *HELLO)
            sent = (await bench.hear(PLAIN, messages=messages, **asked)).request.raw.decode()
            for token in (str(scene.signature), scene.reasoning):
                require(token not in sent, f"{token!r} is sent, which stands under another provider's name")

        self.run(work)

    @proves("chat", "reasoning")
    def test_ones_own_metadata_survives_an_excursion(self) -> None:
        """After another provider's turn, what this one noted of its earlier answer is still given back to it alone."""
        fake = self.fake()

        async def work(bench: Bench) -> None:
            answer = (await bench.hear(THOUGHT, reasoning_effort="low")).response.message
            noted = [part for part in answer.parts if part.provider_metadata]
            messages = history(*HELLO, answer, *LEFT_BEHIND[1:])
            again = await bench.hear(PLAIN, messages=messages, reasoning_effort="low")
            text = again.request.raw.decode()
            if str(THOUGHT.signature) in str(fake.chat(THOUGHT)):
                require(noted, "the signature of a thought is not kept: put it into provider_metadata")
                require(str(THOUGHT.signature) in text, "the signature of its own thought is not given back")
            require("KIT-FOREIGN" not in text, "what another provider thought is sent")

        self.run(work)
