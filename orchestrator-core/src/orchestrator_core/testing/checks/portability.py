"""Conversations that come from elsewhere: nothing foreign is sent, one's own is replayed, and the report is exact."""

from __future__ import annotations

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
from orchestrator_core.testing.bench import Bench
from orchestrator_core.testing.judge import contains, require
from orchestrator_core.testing.scenes import HELLO, PLAIN, THOUGHT, TOOLS, history
from orchestrator_core.testing.suite import Suite, proves

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

BROKEN = history(
    text_message("user", "KIT-ONE"),
    Message(
        role="assistant",
        parts=(
            ToolCallPart(id="call:a/1", name="weather", arguments='{"city": "KIT-PARIS"}', provider_metadata=ELSEWHERE),
            ToolCallPart(id="call:a/2", name="clock", arguments="{}"),
        ),
    ),
    Message(role="tool", parts=(ToolResultPart(tool_call_id="call:a/1", content="KIT-RESULT"),)),
    Message(role="tool", parts=(ToolResultPart(tool_call_id="nobody", content="KIT-ORPHAN"),)),
    text_message("user", "KIT-TWO"),
    Message(role="assistant", parts=()),
    text_message("user", "KIT-THREE"),
    Message(role="assistant", parts=(RefusalPart(text="KIT-REFUSED"),)),
    Message(role="assistant", parts=(ToolCallPart(id="cut", name="weather", arguments='{"city": "KIT-CU'),)),
    text_message("user", "KIT-FOUR"),
)
"""A call without a result, a result without a call, an empty answer, and a call that was cut off."""


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
            reported = {made.subject: made.action for made in response.adjustments}
            require("tool_call" in reported, f"a call without a result was repaired, reported: {reported}")
            require("tool_result" in reported, f"a result without a call was repaired, reported: {reported}")
            dropped = {(made.subject, made.action) for made in response.adjustments} & {("tool_result", "dropped")}
            require(
                bool(dropped) != contains(body, "KIT-ORPHAN"),
                f"the result without a call is reported as {reported['tool_result']}, which is not what was sent",
            )

        self.run(work)

    @proves("chat", "function_calling")
    def test_the_history_is_not_changed(self) -> None:
        """A call leaves the stored conversation as it is."""

        async def work(bench: Bench) -> None:
            for messages in (LEFT_BEHIND, BROKEN):
                heard = await bench.hear(PLAIN, messages=messages, tools=TOOLS)
                require(heard.messages == messages, "the call changed the history: compile into new objects")

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
