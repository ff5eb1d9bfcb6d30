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
    found: dict[int, int] = {}  # where each begins, by where it ends: two marks may stand before one
    for mark in MARKS:
        at = body.find(mark)
        while at >= 0:
            start = at + len(mark)
            end = body.find(b'"', start)
            end = len(body) if end < 0 else end
            if end - start > 256:
                found[end] = start
            at = body.find(mark, end)
    media_bytes = sum(end - start for end, start in found.items())
    return Size(len(body) - media_bytes, len(found), media_bytes)
