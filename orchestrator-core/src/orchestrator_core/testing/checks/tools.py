"""Tools: what is offered, the calls of an answer, and the results that go back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

from orchestrator_core.provider_api import Json, Message, NamedTool, TextPart, ToolCallPart, ToolResultPart
from orchestrator_core.testing.bench import INSTANCE, Bench
from orchestrator_core.testing.checks.chat import both_modes
from orchestrator_core.testing.checks.fidelity import held_to_strictness
from orchestrator_core.testing.fake import WireEvent
from orchestrator_core.testing.judge import contains, expected, lost, metadata_of, order_flaw, require, said
from orchestrator_core.testing.scenes import (
    BARE_CALL,
    CALLS,
    HELLO,
    PLAIN,
    SAME_CALLS,
    SIGNED_CALLS,
    TOOLS,
    history,
)
from orchestrator_core.testing.suite import Suite, proves


class ToolChecks(Suite):
    """Function calling, from the offer to the answer that uses the results."""

    @proves("chat", "function_calling")
    def test_tools_reach_the_upstream(self) -> None:
        """Names, descriptions and schemas are sent."""
        self.fake()

        async def work(bench: Bench) -> None:
            heard = await bench.hear(PLAIN, tools=TOOLS)
            for wanted in ("weather", "KIT-DESCRIPTION", "city", "clock", "zone"):
                require(contains(heard.request.body, wanted), f"{wanted!r} of the tools is missing in the request")
            require(not heard.response.adjustments, f"plain tools need no change: {heard.response.adjustments}")

        self.run(work)

    @proves("chat", "function_calling")
    def test_the_choice_of_a_tool_reaches_the_upstream(self) -> None:
        """Each of `auto`, `none`, `required` and a named tool is asked for in words of its own, or reported as lost."""
        self.fake()

        async def work(bench: Bench) -> None:
            choices = ("auto", "none", "required", NamedTool(name="weather"), NamedTool(name="clock"))
            sent: list[tuple[str, Json]] = [("no choice", (await bench.hear(PLAIN, tools=TOOLS)).request.body)]
            for choice in choices:
                name = repr(choice.name if isinstance(choice, NamedTool) else choice)
                heard = await bench.hear(PLAIN, tools=TOOLS, tool_choice=choice)
                missed = "tool_choice" in lost(heard.response.adjustments)
                same = [other for other, body in sent if body == heard.request.body]
                require(
                    missed or not same,
                    f"tool_choice {name} sends what {same} sends: ask for it, or report tool_choice as lost",
                )
                if not missed:
                    sent.append((name, heard.request.body))
                await held_to_strictness(bench, heard, "tool_choice", tools=TOOLS, tool_choice=choice)

        self.run(work)

    @both_modes
    @proves("chat", "function_calling")
    def test_parallel_calls_arrive(self, stream: bool) -> None:
        """Several calls of one answer keep names, arguments and order, and have ids of their own."""
        self.fake()

        async def work(bench: Bench) -> None:
            for scene in (CALLS, SAME_CALLS, BARE_CALL):
                heard = await bench.hear(scene, stream=stream, tools=TOOLS)
                response = heard.response
                found, wanted = said(response), expected(scene)
                require(found.calls == wanted.calls, f"the upstream called {wanted.calls}, the answer {found.calls}")
                require(found.finish_reason == "tool_calls", f"an answer of calls ends with {found.finish_reason!r}")
                ids = [call.id for call in response.message.tool_calls]
                require(all(ids) and len(set(ids)) == len(ids), f"ids of calls are not unique: {ids}")
                flaw = order_flaw(heard.events)
                require(flaw is None, str(flaw))

        self.run(work)

    @proves("chat", "function_calling")
    def test_ids_are_unique_across_answers(self) -> None:
        """Ids that the provider itself makes do not come again in the next answer."""
        fake = self.fake()

        async def work(bench: Bench) -> None:
            ids: list[str] = []
            for scene in (CALLS, SAME_CALLS):
                answer = (await bench.hear(replace(scene, id=f"answer-{len(ids)}"), tools=TOOLS)).response
                ids += [call.id for call in answer.message.tool_calls]
            shown = [call.id for call in CALLS.calls if call.id in str(fake.chat(CALLS))]
            require(len(set(ids)) == len(ids), f"two answers share ids: {ids}")
            require(set(shown) <= set(ids), f"the vendor's own ids {shown} are lost: {ids}")

        self.run(work)

    @proves("function_calling")
    def test_a_demanded_call_is_made(self) -> None:
        """An offline provider calls a tool that is demanded."""

        async def work(bench: Bench) -> None:
            heard = await bench.hear(CALLS, tools=TOOLS, tool_choice="required")
            calls = heard.response.message.tool_calls
            require(calls, "a tool was demanded, and none was called")
            for call in calls:
                require(isinstance(json.loads(call.arguments or "{}"), dict), f"arguments: {call.arguments!r}")

        self.run(work)

    @both_modes
    @proves("chat", "function_calling")
    def test_results_go_back_beside_their_calls(self, stream: bool) -> None:
        """Calls and results are paired in the next request, and what the tools gave is in it."""
        fake = self.fake()

        async def work(bench: Bench) -> None:
            answer = (await bench.hear(CALLS, stream=stream, tools=TOOLS)).response.message
            first, second = answer.tool_calls
            results = (
                ToolResultPart(tool_call_id=first.id, content="KIT-RAIN", name=first.name),
                ToolResultPart(tool_call_id=second.id, content=(TextPart(text="KIT-NOON"),), is_error=True),
            )
            messages = history(*HELLO, answer, *(Message(role="tool", parts=(result,)) for result in results))
            heard = await bench.hear(PLAIN, messages=messages, tools=TOOLS)
            body = heard.request.body
            require(said(heard.response).text == PLAIN.text, "the answer to the results does not arrive")
            for wanted in ("KIT-RAIN", "KIT-NOON", "Paris", "CET"):
                require(contains(body, wanted), f"{wanted!r} of calls and results is missing in the request")
            calls, given = fake.call_ids(body)
            require(len(calls) == 2, f"two calls were made, the request has {calls}")
            require(sorted(calls) == sorted(given), f"the calls {calls} and the results {given} do not pair")

        self.run(work)

    @both_modes
    @proves("chat", "function_calling")
    def test_what_the_vendor_wants_back_is_given_back(self, stream: bool) -> None:
        """A signature comes back unchanged in the next request, through a store, under the instance's name."""
        fake = self.fake()

        async def work(bench: Bench) -> None:
            shown = _signed(fake.stream(SIGNED_CALLS) if stream else fake.chat(SIGNED_CALLS))
            heard = await bench.hear(SIGNED_CALLS, stream=stream, tools=TOOLS)
            answer = heard.response.message
            names = metadata_of(heard.events, answer.parts)
            require(set(names) <= {INSTANCE}, f"metadata stands under {names}: use context.provider_id")
            results = [
                Message(role="tool", parts=(ToolResultPart(tool_call_id=call.id, content="KIT-GIVEN"),))
                for call in answer.tool_calls
            ]
            body = (await bench.hear(PLAIN, messages=history(*HELLO, answer, *results), tools=TOOLS)).request.body
            if shown:
                require(
                    contains(body, SIGNED_CALLS.signature),
                    "the vendor's signature is not given back: keep it in provider_metadata, and send it again",
                )

        self.run(work)

    @proves("chat", "function_calling")
    def test_ids_of_any_form_are_taken(self) -> None:
        """Calls that another provider made keep their pairs, whatever their ids look like; the same id maps alike."""
        fake = self.fake()

        async def work(bench: Bench) -> None:
            # Many, so that ids which are made too short fall together; with names for wires that have no ids.
            ids = ("functions.weather:0", "toolu_01 odd/ümlaut|" + "x" * 80, "1", *(f"call:{at}" for at in range(60)))
            messages = list(HELLO)
            for at, id_ in enumerate(ids):
                call = ToolCallPart(id=id_, name=f"weather_{at}", arguments='{"city": "Rome"}')
                messages.append(Message(role="assistant", parts=(call,)))
                messages.append(Message(role="tool", parts=(ToolResultPart(tool_call_id=id_, content="KIT-SUN"),)))
            bodies = [(await bench.hear(PLAIN, messages=messages, tools=TOOLS)).request.body for _ in range(2)]
            calls, results = fake.call_ids(bodies[0])
            require(
                len(calls) == len(ids) and list(calls) == list(results),
                f"calls {calls} and results {results} do not pair",
            )
            require(len(set(calls)) == len(ids), "two calls are sent with one id: make ids of more characters")
            require(fake.call_ids(bodies[1]) == (calls, results), "the same ids are mapped differently the second time")

        self.run(work)


def _signed(wire: Json | Iterable[WireEvent]) -> bool:
    """Say whether the fake shows the signature at all: not every wire has one."""
    return str(SIGNED_CALLS.signature) in str(wire if isinstance(wire, dict | list) else list(wire))
