"""Instructions by a vision-language model that looks at an episode's keyframes (Sec. 3.1)."""

from __future__ import annotations

from unihm.annotation.base import Written
from unihm.annotation.endpoint import Endpoint
from unihm.annotation.keyframes import draw_keyframes, keyframes, png
from unihm.annotation.pace import Pace
from unihm.annotation.prompt import PROMPT_VERSION, asked_again, question, read_reply
from unihm.datasets.instructions import names_of
from unihm.schema.episode import Episode

ASKED = 3
"""How often a model is asked for one episode before its unusable replies count as a failure."""


class VisionAnnotator:
    """Asks a model behind an endpoint."""

    def __init__(self, endpoint: Endpoint, pace: Pace):
        """Ask `endpoint`, whose waits `pace` ends."""
        self.model, self.prompt = endpoint.model, PROMPT_VERSION
        self._endpoint, self._pace = endpoint, pace

    def write(self, episode: Episode) -> Written:
        """Five sentences; raises as `Annotator.write` does."""
        times = [frame / episode.fps for frame in keyframes(episode)]
        messages = question(names_of(episode).name, [png(picture) for picture in draw_keyframes(episode)], times)
        tokens_in = tokens_out = 0
        complaint = ""
        for request in range(1, ASKED + 1):
            reply = self._endpoint.complete(messages)
            tokens_in, tokens_out = tokens_in + reply.tokens_in, tokens_out + reply.tokens_out
            try:
                sentences = read_reply(reply.text)
            except ValueError as error:
                complaint = str(error)
                messages = asked_again(messages, reply.text, complaint)
                continue
            return Written(instructions=sentences, requests=request, tokens_in=tokens_in, tokens_out=tokens_out)
        raise ValueError(f"no usable reply after asking {ASKED} times: {complaint}")

    def stop(self) -> None:
        """Send nothing more."""
        self._pace.stop()
