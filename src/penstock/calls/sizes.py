"""How large a request is, without decoding it: bounds for what to hold, guesses for what nobody counted."""

from __future__ import annotations

import math
from typing import NamedTuple

MARKS = (b";base64,", b'"data":"', b'"data": "')
"""What stands before base64 in every format that we know."""
TEXT_BYTES_A_TOKEN = 4
MEDIA_TOKENS = 3000
"""Of a picture, at most what a vendor makes of it; documents and sounds grow with their bytes."""
MEDIA_BYTES_A_TOKEN = 100
GUESSED_MEDIA_TOKENS = 800


class Size(NamedTuple):
    """Bytes of text, and pictures and the like with their bytes of base64."""

    text: int
    media: int
    media_bytes: int

    @property
    def most_tokens(self) -> int:
        """No tokenizer makes more of it: a token is at least a byte."""
        return self.text + self.media * MEDIA_TOKENS + self.media_bytes // MEDIA_BYTES_A_TOKEN

    @property
    def guessed_tokens(self) -> int:
        pages = self.media_bytes // (4 * MEDIA_BYTES_A_TOKEN)
        return math.ceil(self.text / TEXT_BYTES_A_TOKEN) + max(self.media * GUESSED_MEDIA_TOKENS, pages)


def measure(body: bytes) -> Size:
    """Jumps over base64 with searches that run at memory speed; a small body can't hold much of it."""
    if len(body) < 4096:
        return Size(len(body), 0, 0)
    media, media_bytes = 0, 0
    for mark in MARKS:
        at = body.find(mark)
        while at >= 0:
            start = at + len(mark)
            end = body.find(b'"', start)
            end = len(body) if end < 0 else end
            if end - start > 256:
                media += 1
                media_bytes += end - start
            at = body.find(mark, end)
    return Size(max(0, len(body) - media_bytes), media, media_bytes)
