from __future__ import annotations

from orchestrator_core.provider_api import ImagePart, Message, Role, TextPart
from orchestrator_core.sessions.jobs.rows import MessageRow, said, stored_messages


def row(number: int, message: Message) -> MessageRow:
    return (
        f"msg_{number}",
        number,
        "turn_1",
        "complete",
        *said(message),
        number,
        "openai",
        "gpt-6-luna",
    )


def test_messages_are_read_as_they_were_written() -> None:
    roles: list[Role] = ["user", "assistant", "tool", "system"]
    messages = [
        Message(role=roles[number % 4], parts=parts, name=name)
        for number, (name, parts) in enumerate(
            [
                (None, ()),
                ('"},{"', (TextPart(text='"]},{"role":"user"'), ImagePart(url="https://example.com/é.png"))),
                ("", (TextPart(text="", provider_metadata={"openai": {"name": "x"}}),)),
                ("Ada\u2028\x7f\\", (TextPart(text="\U0001f642"),)),
            ]
        )
    ]
    stored = stored_messages([row(number, message) for number, message in enumerate(messages, 1)])
    assert [each.message for each in stored] == messages
    assert [(each.sequence, each.provider) for each in stored] == [(1, None), (2, "openai"), (3, None), (4, None)]
    assert stored_messages([]) == []
