"""One turn of a conversation: route, call, fall back, fold, remember. No HTTP."""

from orchestrator_core.orchestration.again import answer_again
from orchestrator_core.orchestration.answer import Answer, EmbeddingAnswer
from orchestrator_core.orchestration.fold import Fold
from orchestrator_core.orchestration.gateway import Gateway
from orchestrator_core.orchestration.reading import reading
from orchestrator_core.orchestration.requests import Selection, TurnRequest
from orchestrator_core.orchestration.turn import TurnAnswer, TurnResult

__all__ = [
    "Answer",
    "EmbeddingAnswer",
    "Fold",
    "Gateway",
    "Selection",
    "TurnAnswer",
    "TurnRequest",
    "TurnResult",
    "answer_again",
    "reading",
]
