"""What a call is told of how its generation began and ended."""

from mcp_server.errors import OutcomeUnknown, SeedreamError, UpstreamUnavailable, revive
from mcp_server.generations.generation import Generation
from mcp_server.generations.ledger import Begun

_MOST_DOUBTS = 3


def no_more() -> UpstreamUnavailable:
    """The error of a call that comes too late."""
    return UpstreamUnavailable(
        "This server has been told to end; nothing was sent", "call again once it has been started anew"
    )


def said_of(begun: Begun) -> list[str]:
    """What a result must say of how it began."""
    said = [
        f"An identical earlier call (generation {earlier.id}, {earlier.created:%Y-%m-%d %H:%M} UTC) ended "
        "without an answer from the API: it may have been billed too."
        for earlier in begun.in_doubt[:_MOST_DOUBTS]
    ]
    if (more := len(begun.in_doubt) - _MOST_DOUBTS) > 0:
        said.append(f"So did {more} identical calls before those.")
    if begun.claimed:
        said.append(
            "This was made for an earlier identical call that ended before it got it; it was billed once. "
            "For another picture, call again."
        )
    return said


def error_of(generation: Generation) -> SeedreamError:
    """The error of a generation that did not succeed."""
    if failure := generation.failure:
        return revive(failure.code, failure.problem, failure.remedy, failure.who)
    return OutcomeUnknown(
        "The server process that sent the request has ended, and its outcome is not known",
        "tell the person that it may have been billed. If they want it all the same, call again: that makes "
        "a new request",
    )
