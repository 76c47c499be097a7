"""Answers: whole and streamed, their order, their tokens, and the request that asked for them."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest

from orchestrator_core.provider_api import (
    FinishReason,
    ImagePart,
    Message,
    Start,
    TextDelta,
    TextPart,
    Usage,
    text_message,
)
from orchestrator_core.testing.bench import Bench, Heard, within
from orchestrator_core.testing.judge import contains, expected, order_flaw, require, said
from orchestrator_core.testing.scenes import FORMAT, HELLO, JSON_ANSWER, PLAIN, PNG, REFUSAL, THOUGHT, UNICODE, Scene
from orchestrator_core.testing.server import Broken
from orchestrator_core.testing.suite import Suite, proves

both_modes = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


class ChatChecks(Suite):
    """What an answer is made of."""

    @both_modes
    @proves("chat")
    def test_start_comes_first_and_each_choice_ends_once(self, stream: bool) -> None:
        """`Start`, then the answer, then exactly one `Finish` for each choice."""

        async def work(bench: Bench) -> None:
            heard = await bench.hear(PLAIN, stream=stream)
            response = heard.response
            flaw = order_flaw(heard.events)
            require(flaw is None, str(flaw))
            require(response.complete, "the events fold into an answer without an end")

        self.run(work)

    @both_modes
    @proves("chat")
    def test_the_answer_says_what_the_upstream_said(self, stream: bool) -> None:
        """Text, finish reason and tokens arrive, whatever characters the text has."""
        self.fake()

        async def work(bench: Bench) -> None:
            for scene in (PLAIN, UNICODE):
                heard = await bench.hear(scene, stream=stream)
                _same(heard, scene)
                require(heard.response.model == scene.model, "`Start.model` is not the model that answered")

        self.run(work)

    @proves("chat")
    def test_a_stream_says_what_the_whole_answer_says(self) -> None:
        """Both modes fold into the same answer."""

        async def work(bench: Bench) -> None:
            whole, streamed = await bench.hear(PLAIN), await bench.hear(PLAIN, stream=True)
            require(
                said(whole.response) == said(streamed.response),
                f"whole: {said(whole.response)}\nstreamed: {said(streamed.response)}",
            )

        self.run(work)

    @proves("chat")
    def test_the_stream_flag_asks_the_upstream_for_a_stream(self) -> None:
        """`request.stream` chooses how the upstream is asked."""
        fake = self.fake()

        async def work(bench: Bench) -> None:
            whole, streamed = await bench.hear(PLAIN), await bench.hear(PLAIN, stream=True)
            modes = [fake.operation(heard.request) for heard in (whole, streamed)]
            require(modes == ["chat", "stream"], f"without and with `stream` the upstream was asked for {modes}")

        self.run(work)

    @proves("chat")
    def test_a_stream_is_passed_on_as_it_comes(self) -> None:
        """Text reaches the caller while the upstream is still speaking."""
        fake = self.fake()

        async def work(bench: Bench) -> None:
            frames = len(list(fake.stream(PLAIN)))
            bench.server.script.append(Broken(PLAIN, events=frames - 2 if frames > 5 else frames // 2 + 1))
            async with aclosing(bench.chat(bench.request(stream=True))) as events:
                try:
                    async with within(2.0):
                        async for event in events:
                            if isinstance(event, TextDelta):
                                return
                except TimeoutError:
                    pass
            require(False, "no text came before the upstream ended its stream: yield each event as it comes")

        self.run(work)

    @proves("chat")
    @pytest.mark.parametrize("reason", ["stop", "length", "content_filter"])
    def test_finish_reasons_are_told(self, reason: FinishReason) -> None:
        """Why an answer ended is told in OpenAI's words, in both modes."""
        self.fake()

        async def work(bench: Bench) -> None:
            scene = replace(PLAIN, finish_reason=reason)
            for stream in (False, True):
                found = said((await bench.hear(scene, stream=stream)).response).finish_reason
                require(found == reason, f"an answer that ended by {reason!r} ends with {found!r} (stream={stream})")

        self.run(work)

    @both_modes
    @proves("chat")
    def test_usage_is_counted_in_disjoint_buckets(self, stream: bool) -> None:
        """Each token is in one bucket: cached input is no input, reasoning is no output."""
        fake = self.fake()

        async def work(bench: Bench) -> None:
            counts = {"cached_input_tokens": 64, "cache_write_tokens": 32, "reasoning_tokens": 8}
            cached, written, thought = (count if name in fake.usage_buckets else 0 for name, count in counts.items())
            usage = Usage(128, cached, written, 16, thought)
            heard = await bench.hear(replace(PLAIN, usage=usage), stream=stream)
            require(heard.response.usage == usage, f"sent {usage}, came out as {heard.response.usage}")

        self.run(work)

    @proves("chat")
    def test_calls_at_the_same_time_do_not_mix(self) -> None:
        """Two calls of one instance share nothing."""
        self.fake()

        async def work(bench: Bench) -> None:
            scenes = [replace(PLAIN, text=f"{word} " * 12, id=word) for word in ("alpha", "beta")]
            heard = await asyncio.gather(*(bench.hear(scene, stream=True) for scene in scenes))
            # Who asks first is answered first; either order is right as long as nobody hears both.
            texts = sorted(said(one.response).text for one in heard)
            require(texts == sorted(scene.text for scene in scenes), f"two calls at once heard {texts}")

        self.run(work)

    @proves("chat")
    def test_a_conversation_is_sent_as_it_is(self) -> None:
        """System prompt and turns reach the upstream in their order, whole."""
        self.fake()

        async def work(bench: Bench) -> None:
            said_before = ("KIT-SYSTEM", "KIT-FIRST", "KIT-SECOND", "KIT-THIRD Grüße \U0001f600")
            roles = ("system", "user", "assistant", "user")
            messages = [text_message(role, text) for role, text in zip(roles, said_before, strict=True)]  # type: ignore[arg-type]  # mypy widens the roles to str
            heard = await bench.hear(PLAIN, messages=messages)
            for text in said_before:
                require(contains(heard.request.body, text), f"{text!r} is missing in the request")
            lost = [made for made in heard.response.adjustments if made.action != "mapped"]
            require(not lost, f"nothing has to be lost of a plain conversation: {lost}")

        self.run(work)

    @proves("chat")
    def test_the_client_of_the_context_makes_every_request(self) -> None:
        """Requests go through `context.client`, which bounds them and adds the key."""
        self.fake()

        async def work(bench: Bench) -> None:
            heard = [await bench.hear(PLAIN, stream=stream) for stream in (False, True)]
            sent = sum(len(one.requests) for one in heard)
            require(sent == bench.client.calls, f"{sent} requests came, {bench.client.calls} by context.client")
            require(sent == 2, f"two answers took {sent} requests")

        self.run(work)

    @both_modes
    @proves("chat", "reasoning")
    def test_reasoning_arrives_beside_the_text(self, stream: bool) -> None:
        """What the model thinks is a part of its own, not text."""

        async def work(bench: Bench) -> None:
            heard = await bench.hear(THOUGHT, stream=stream, reasoning_effort="low")
            if self.upstream is not None:
                _same(heard, THOUGHT)
            require(said(heard.response).reasoning, "reasoning is declared, was asked for, and did not come")

        self.run(work)

    @both_modes
    @proves("chat")
    def test_a_refusal_is_told_from_text(self, stream: bool) -> None:
        """What the model says as it refuses is a part of its own, where the wire tells the two apart."""
        fake = self.fake()
        if REFUSAL.refusal not in str(fake.chat(REFUSAL)):
            pytest.skip("this wire has no mark for refusals")

        async def work(bench: Bench) -> None:
            _same(await bench.hear(REFUSAL, stream=stream), REFUSAL)

        self.run(work)

    @proves("chat", "structured_output")
    def test_a_schema_reaches_the_upstream(self) -> None:
        """A demanded form is sent, and the answer is JSON that has it."""

        async def work(bench: Bench) -> None:
            heard = await bench.hear(JSON_ANSWER, response_format=FORMAT)
            require("kit_verdict" in said(heard.response).text, "the answer does not have the form that was demanded")
            if self.upstream is not None:
                made = {made.action for made in heard.response.adjustments if made.subject == "response_format"}
                require(
                    contains(heard.request.body, "kit_verdict") or made == {"downgraded"},
                    "the schema is neither in the request nor reported as downgraded, to any JSON for instance",
                )

        self.run(work)

    @proves("chat", "vision")
    def test_images_reach_the_upstream(self) -> None:
        """An image is sent with the text around it."""
        self.fake()

        async def work(bench: Bench) -> None:
            image = ImagePart(data=PNG, media_type="image/png")
            message = Message(role="user", parts=(TextPart(text="KIT-LOOK"), image))
            heard = await bench.hear(PLAIN, messages=(message,))
            lost = [made for made in heard.response.adjustments if made.subject == "image"]
            require(not lost, f"the image is lost although vision is declared: {lost}")
            for wanted in (PNG, "KIT-LOOK"):
                require(contains(heard.request.body, wanted), f"{wanted[:20]!r} is missing in the request")

        self.run(work)

    @proves("chat")
    def test_start_says_what_the_upstream_calls_the_answer(self) -> None:
        """`Start` has the upstream's id, by which the vendor's support finds the answer."""
        self.fake()

        async def work(bench: Bench) -> None:
            heard = await bench.hear(replace(PLAIN, id="answer-kit-2"), messages=HELLO)
            start = heard.events[0] if heard.events else None
            require(isinstance(start, Start) and start.id == "answer-kit-2", f"{start!r} lacks the upstream's id")

        self.run(work)


def _same(heard: Heard, scene: Scene) -> None:
    """Require that an answer says what the scene says."""
    __tracebackhide__ = True
    found, wanted = said(heard.response), expected(scene)
    for name in ("text", "reasoning", "refusal", "calls", "finish_reason"):
        require(
            getattr(found, name) == getattr(wanted, name),
            f"{name}: the upstream said {getattr(wanted, name)!r}, the answer says {getattr(found, name)!r}",
        )
