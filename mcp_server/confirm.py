"""Asking the person before a call that may bill many images, in both protocol eras."""

import hashlib
import logging
from typing import Any

import anyio
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp.types import ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult
from mcp_types.version import is_version_at_least

from mcp_server.errors import BudgetExceeded, quote
from mcp_server.quirks import breaks_on

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 45.0
"""How long the person has. Hosts give up on the whole call after 60 s, and some never show the question."""

_KEY = "confirm"
_FIRST_WITH_INPUT_REQUIRED = "2026-07-28"


_FORM: dict[str, Any] = {
    "type": "object",
    "properties": {"proceed": {"type": "boolean", "title": "Make the images", "default": True}},
}
"""What the person sees. Hosts show its one box ticked: to accept is enough."""


class AskFirst(Exception):
    """Ends a call of the newer era: the host asks, and then makes the call again with the answer."""

    def __init__(self, result: InputRequiredResult) -> None:
        super().__init__("the person is asked first")
        self.result = result


class Confirmation:
    """Asks when a call may bill more than `above` images, and waits `seconds` for the answer."""

    def __init__(self, above: int, seconds: float = ANSWER_SECONDS) -> None:
        self._above = above
        self._seconds = seconds
        self._told = False

    async def __call__(self, context: Context[Any, Any], prompt: str, most: int) -> None:
        """Ask, where the host can.

        Raises:
            BudgetExceeded: the person said no, or nothing in time.
            AskFirst: the answer will come with another call.
        """
        if not _can_ask(context):
            if not self._told:
                logger.warning(
                    "this host can't ask the person, so SEEDREAM_CONFIRM_ABOVE has no effect in it"
                )
            self._told = True
            return
        question = (
            f"Make up to {most} images? Each one made is paid for. (You are asked above {self._above}, by "
            f"SEEDREAM_CONFIRM_ABOVE.) The prompt: {quote(prompt)}"
        )
        if is_version_at_least(context.protocol_version or "", _FIRST_WITH_INPUT_REQUIRED):
            said = self._answer_in(context, question)
        else:
            said = await self._ask(context, question)
        if said != "yes":
            raise BudgetExceeded(
                f"The person was asked whether this call may make up to {most} images, and {said}",
                "do not repeat the call as it is. Ask the person what they want; up to "
                f"{self._above} images are made without asking",
            )

    def _answer_in(self, context: Context[Any, Any], question: str) -> str:
        state = hashlib.sha256(question.encode()).hexdigest()
        answer = (context.input_responses or {}).get(_KEY)
        if isinstance(answer, ElicitResult) and context.request_state == state:
            return _meaning(answer)
        params = ElicitRequestFormParams(message=question, requested_schema=_FORM)
        raise AskFirst(
            InputRequiredResult(input_requests={_KEY: ElicitRequest(params=params)}, request_state=state)
        )

    async def _ask(self, context: Context[Any, Any], question: str) -> str:
        with anyio.move_on_after(self._seconds):
            try:
                answer = await context.session.elicit_form(question, _FORM, context.request_id)
            except (MCPError, ValueError) as error:
                logger.warning("asking the person failed: %s", type(error).__name__)
                return "the host did not give a usable answer"
            return _meaning(answer)
        client = context.session.client_params
        unseen = "questions" in breaks_on(client and client.client_info)
        why = " (versions of this host take a question and never show it)" if unseen else ""
        return f"gave no answer within {self._seconds:.0f} s{why}"


def _meaning(answer: ElicitResult) -> str:
    agreed = answer.action == "accept" and (answer.content or {}).get("proceed", True) is True
    return "yes" if agreed else "said no"


def _can_ask(context: Context[Any, Any]) -> bool:
    capabilities = context.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    # A bare `elicitation: {}`, the only shape before there were modes, means forms; url alone does not.
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)
