"""One conversation with everything that a caller can say, in which each piece has a token of its own."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from orchestrator_core.provider_api import (
    FilePart,
    ImagePart,
    Message,
    RefusalPart,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    text_message,
)
from orchestrator_core.testing.scenes import PNG, history

ROUNDS: Final = 16
"""Turns of small talk before the rest: what forgets the beginning of a long history is found out."""


def image(name: str) -> str:
    """Return an image that no other is equal to: a pixel, and after its end, which decoders pass over, a name."""
    return base64.b64encode(base64.b64decode(PNG) + name.encode()).decode()


IMAGE, RESULT_IMAGE = image("kit-image-1"), image("kit-image-2")
IMAGE_URL: Final = "https://kit.example/kit-image-3.png"
DOCUMENT: Final = base64.b64encode(b"%PDF-1.4 kit-document\n%%EOF").decode()
"""The start and the end of a PDF: whoever reads it is the vendor."""

TOLD: Final[Mapping[str, Sequence[str]]] = {
    **{f"KIT-{who}-{turn:02}": () for turn in range(ROUNDS) for who in ("ASKED", "ANSWERED")},
    "KIT-SYSTEM-ONE": (),
    "KIT-SYSTEM-TWO": (),
    "KIT-SYSTEM-THREE": (),
    "KIT-BEFORE": (),
    "KIT-AFTER": (),
    IMAGE: ("image",),
    IMAGE_URL: ("image",),
    DOCUMENT: ("file",),
    "KIT-BESIDE": (),
    "KIT-ARGUMENT-ONE": (),
    "KIT-ARGUMENT-TWO": (),
    "KIT-ARGUMENT-THREE": (),
    "KIT-RESULT-ONE": (),
    "KIT-RESULT-TWO": (),
    "KIT-RESULT-THREE": (),
    RESULT_IMAGE: ("image", "tool_result"),
    "KIT-REFUSED": (),
    "KIT-LAST": (),
}
"""Each token, and the subjects under which its loss may be reported: what is text is never lost."""

TOOLS_TOLD: Final = tuple(
    Tool(name=name, parameters={"type": "object", "properties": {"at": {"type": "string"}}})
    for name in ("look", "listen", "fail")
)


def everything(*, failed: bool = True) -> tuple[Message, ...]:
    """Return the conversation.

    Args:
        failed: Whether the last result is that of a call that failed.
    """
    return history(
        text_message("system", "KIT-SYSTEM-ONE: be brief."),
        text_message("system", "KIT-SYSTEM-TWO: be kind."),
        *_small_talk(),
        Message(
            role="user",
            parts=(
                TextPart(text="KIT-BEFORE: look at these."),
                ImagePart(data=IMAGE, media_type="image/png"),
                ImagePart(url=IMAGE_URL),
                FilePart(data=DOCUMENT, media_type="application/pdf", filename="kit.pdf"),
                TextPart(text="KIT-AFTER: what are they?"),
            ),
        ),
        Message(
            role="assistant",
            parts=(
                TextPart(text="KIT-BESIDE: I will see."),
                ToolCallPart(id="call_kit_look", name="look", arguments='{"at": "KIT-ARGUMENT-ONE"}'),
                ToolCallPart(id="call_kit_listen", name="listen", arguments='{"at": "KIT-ARGUMENT-TWO"}'),
            ),
        ),
        Message(role="tool", parts=(ToolResultPart(tool_call_id="call_kit_look", content="KIT-RESULT-ONE"),)),
        Message(
            role="tool",
            parts=(
                ToolResultPart(
                    tool_call_id="call_kit_listen",
                    content=(TextPart(text="KIT-RESULT-TWO"), ImagePart(data=RESULT_IMAGE, media_type="image/png")),
                ),
            ),
        ),
        Message(
            role="assistant",
            parts=(ToolCallPart(id="call_kit_fail", name="fail", arguments='{"at": "KIT-ARGUMENT-THREE"}'),),
        ),
        Message(
            role="tool",
            parts=(ToolResultPart(tool_call_id="call_kit_fail", content="KIT-RESULT-THREE", is_error=failed),),
        ),
        text_message("system", "KIT-SYSTEM-THREE: be quick."),
        text_message("user", "And now?"),
        Message(role="assistant", parts=(RefusalPart(text="KIT-REFUSED: I would rather not."),)),
        text_message("user", "KIT-LAST: why?"),
    )


def _small_talk() -> Iterator[Message]:
    for turn in range(ROUNDS):
        yield text_message("user", f"KIT-ASKED-{turn:02}")
        yield text_message("assistant", f"KIT-ANSWERED-{turn:02}")
