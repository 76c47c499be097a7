import time

from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core.orchestration.fold import Fold
from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    Adjustment,
    ChatEvent,
    Finish,
    ImagePart,
    NativeEvent,
    NativeOnly,
    OpaquePart,
    ReasoningDelta,
    ReasoningPart,
    RefusalDelta,
    RefusalPart,
    Start,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
    Usage,
    UsageReport,
    WholePart,
)


def fold(*events: ChatEvent) -> Fold:
    result = Fold()
    for event in events:
        result.add(event)
    return result


def test_text_of_one_choice_becomes_one_part() -> None:
    response = fold(Start(id="a", model="m"), TextDelta(text="He"), TextDelta(text="llo"), Finish()).response()

    assert response.message.parts == (TextPart(text="Hello"),)
    assert (response.id, response.model, response.complete) == ("a", "m", True)


def test_choices_are_kept_apart_and_ordered_by_index() -> None:
    events = [
        Start(),
        TextDelta(choice=1, text="one"),
        TextDelta(choice=0, text="zero"),
        Finish(choice=1, reason="length"),
    ]
    response = fold(*events).response()

    assert [choice.message.text for choice in response.choices] == ["zero", "one"]
    assert [choice.finish_reason for choice in response.choices] == [None, "length"]
    assert not response.complete


def test_another_kind_ends_a_part_and_the_order_is_kept() -> None:
    response = fold(
        Start(),
        ReasoningDelta(text="hm"),
        TextDelta(text="a"),
        ToolCallDelta(index=0, id="c", name="f", arguments="{}"),
        TextDelta(text="b"),
        Finish(),
    ).response()

    assert response.message.parts == (
        ReasoningPart(text="hm"),
        TextPart(text="a"),
        ToolCallPart(id="c", name="f", arguments="{}"),
        TextPart(text="b"),
    )


def test_blocks_of_one_kind_stay_apart_and_keep_their_signatures() -> None:
    response = fold(
        Start(),
        ReasoningDelta(text="first", block=0),
        ReasoningDelta(block=0, provider_metadata={"acme": {"signature": "s0"}}),
        ReasoningDelta(block=1, provider_metadata={"acme": {"redacted": "r1"}}),
        TextDelta(text="answer", block=2),
        Finish(),
    ).response()

    assert response.message.parts == (
        ReasoningPart(text="first", provider_metadata={"acme": {"signature": "s0"}}),
        ReasoningPart(text="", provider_metadata={"acme": {"redacted": "r1"}}),
        TextPart(text="answer"),
    )


def test_interleaved_blocks_are_joined_by_their_block() -> None:
    response = fold(
        Start(), TextDelta(text="a", block=0), TextDelta(text="x", block=1), TextDelta(text="b", block=0), Finish()
    ).response()

    assert [part.text for part in response.message.parts if isinstance(part, TextPart)] == ["ab", "x"]


def test_parallel_tool_calls_come_in_interleaved_fragments() -> None:
    response = fold(
        Start(),
        ToolCallDelta(index=0, id="c0", name="f", arguments='{"a"'),
        ToolCallDelta(index=1, id="c1", name="g", arguments="{"),
        ToolCallDelta(index=0, id="", arguments=": 1}"),
        ToolCallDelta(index=1, arguments="}"),
        Finish(reason="tool_calls"),
    ).response()

    assert [(call.id, call.name, call.arguments) for call in response.message.tool_calls] == [
        ("c0", "f", '{"a": 1}'),
        ("c1", "g", "{}"),
    ]


def test_whole_parts_refusals_usage_and_adjustments_arrive() -> None:
    adjustments = [Adjustment("seed", "dropped", "not known there")]
    response = fold(
        Start(adjustments=adjustments),
        RefusalDelta(text="I "),
        RefusalDelta(text="cannot"),
        WholePart(part=ImagePart(url="https://example.org/a.png")),
        WholePart(part=OpaquePart(provider_metadata={"acme": {"id": 1}})),
        UsageReport(usage=Usage(input_tokens=1)),
        UsageReport(usage=Usage(input_tokens=1, output_tokens=5)),
        NativeOnly(),
        Finish(reason="content_filter", native_reason="SAFETY"),
    ).response()

    assert [type(part) for part in response.message.parts] == [RefusalPart, ImagePart, OpaquePart]
    assert response.usage == Usage(input_tokens=1, output_tokens=5)
    assert response.adjustments == adjustments
    assert response.choices[0].native_finish_reason == "SAFETY"


def test_what_is_not_taken_apart_is_counted() -> None:
    def skimmed(events: int, text_bytes: int) -> NativeOnly:
        first, *more = [b"{}"] * events
        return NativeOnly(native=NativeEvent(OPENAI_CHAT, first, more=more), text_bytes=text_bytes)

    assert fold(Start(), TextDelta(text="read"), NativeOnly()).unread == 0
    assert fold(Start(), skimmed(3, 10), skimmed(1, 0)).unread == 4
    assert fold(Start(), skimmed(3, 3000), skimmed(1, 1000)).unread == 1000


def test_an_unknown_kind_of_event_is_passed_over() -> None:
    class NextYear(ChatEvent):
        pass

    assert fold(Start(), NextYear(), TextDelta(text="x"), Finish()).response().message.text == "x"


def test_nothing_folds_to_an_incomplete_empty_answer() -> None:
    response = fold().response()

    assert response.message.parts == ()
    assert not response.complete


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([TextDelta, ReasoningDelta]), st.text(min_size=1))))
def test_no_text_is_lost_or_moved_between_choices(pieces: list[tuple[int, type[TextDelta], str]]) -> None:
    response = fold(Start(), *(kind(choice=choice, text=text) for choice, kind, text in pieces)).response()

    for choice in response.choices:
        for kind, part_type in ((TextDelta, TextPart), (ReasoningDelta, ReasoningPart)):
            wanted = "".join(text for index, made, text in pieces if (index, made) == (choice.index, kind))
            found = "".join(part.text for part in choice.message.parts if isinstance(part, part_type))
            assert found == wanted


def test_what_an_event_notes_of_a_whole_part_stays_with_the_part() -> None:
    image = ImagePart(data="eA==", provider_metadata={"acme": {"id": 1}})
    response = fold(Start(), WholePart(provider_metadata={"acme": {"signature": "s"}}, part=image), Finish()).response()

    assert response.message.parts[0].provider_metadata == {"acme": {"id": 1, "signature": "s"}}
    assert image.provider_metadata == {"acme": {"id": 1}}


def test_the_time_for_blocks_grows_with_their_number() -> None:
    fold, blocks = Fold(), range(30_000)
    begun = time.process_time()
    for text in ("a", "b"):
        for block in blocks:
            fold.add(TextDelta(text=text, block=block))
    assert fold.response().message.parts == (TextPart(text="ab"),) * len(blocks)
    assert time.process_time() - begun < 10
