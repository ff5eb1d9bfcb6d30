"""A predictor that yields text slowly: the words of the prompt, last first, each with a space after it."""

import time

from cog import BasePredictor, ConcatenateIterator, Input

try:
    from cog import streaming
except ImportError:  # the Python server has no stream

    def streaming(handler):
        return handler


class Predictor(BasePredictor):
    @streaming
    def predict(
        self,
        prompt: str = Input(description="Words to turn round"),
        delay_s: float = Input(description="Pause before each word, in seconds", default=0.1, ge=0, le=10),
    ) -> ConcatenateIterator[str]:
        for word in reversed(prompt.split()):
            time.sleep(delay_s)
            yield word + " "
