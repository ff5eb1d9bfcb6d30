"""What the sandbox says: a short text about the prompt, in pieces like tokens, and the log of a job. Pure functions."""

from __future__ import annotations

import re
from random import Random

from penstock.providers.sandbox.palettes import dice

LONGEST_QUOTE = 160
BAR_WIDTH = 10
PARTS = " ▏▎▍▌▋▊▉"  # eighths of a cell

# Each list gives one sentence, in this order; after the last, `MORE` goes on until there are words enough.
OPENINGS = (
    "Here is a sample answer from the penstock sandbox.",
    "This is the penstock sandbox speaking, so what follows is a sample.",
    "Hello from the penstock sandbox: this text is a sample, and it cost nothing.",
)
ABOUT = (
    'You asked about "{prompt}", and that is a fine thing to ask about.',
    'Your words were "{prompt}", and they arrived in good order.',
    'You wrote "{prompt}", which gave me something pleasant to think about.',
)
MORE = (
    "If I dwell on {topic} for a moment, I picture a quiet morning and plenty of time.",
    "Good work on {topic} begins with one small step that can be checked.",
    "People who care about {topic} tend to ask better questions than I do.",
    "There is always a second way to look at {topic}, and it is often the simpler one.",
    "A live model would now tell you more about {topic} than I know.",
    "I would put {topic} on a single page first and see what is missing.",
    "What makes {topic} interesting is how its parts fit together.",
)
CLOSINGS = (
    "Use a live key to hear from a real model.",
    "With a live key, a real model takes over from here.",
)
NO_TOPIC = ("this", "your question", "the matter")
DULL = (
    "a an the of in on at to for and or with about what which who how why when is are was be do does can could would "
    "should please tell me you your my i it this that write make give some say hi hello"
)
STAGES = {
    "image": ("Loading the brushes", "Mixing the colours", "Encoding the picture"),
    "video": ("Loading the camera", "Rolling", "Writing the film"),
    "music": ("Tuning the strings", "Playing", "Writing the recording"),
    "speech": ("Reading the text", "Speaking", "Writing the recording"),
}
PIECE = re.compile(r" ?\w{1,8}| ?[^\w\s]|\s")
OTHER_STAGES = ("Loading the model", "Running", "Writing the output")


def story(prompt: str, seed: int, max_tokens: int) -> list[str]:
    """A friendly text about the prompt as token-like pieces, at most `max_tokens` of them; joined, they are the text.

    It says that it is a sample. The same facts give the same pieces; a text that was cut off has `max_tokens` pieces.
    """
    chance = dice("story", prompt, seed)
    return pieces(" ".join(sentences(prompt, chance)))[: max(0, max_tokens)]


def sentences(prompt: str, chance: Random) -> list[str]:
    quote, topics = quoted(prompt), topics_of(prompt)
    about = [chance.choice(ABOUT).format(prompt=quote)] if quote else []
    middle = [line.format(topic=chance.choice(topics)) for line in chance.sample(MORE, chance.randint(2, 4))]
    return [chance.choice(OPENINGS), *about, *middle, chance.choice(CLOSINGS)]


def quoted(prompt: str) -> str:
    """The prompt on one line, without quotation marks that would end the quotation, cut between words."""
    line = " ".join(prompt.replace('"', "'").split())
    if len(line) <= LONGEST_QUOTE:
        return line
    return line[:LONGEST_QUOTE].rsplit(" ", 1)[0] + "…"


def topics_of(prompt: str) -> tuple[str, ...]:
    """Words of the prompt that carry its meaning, six at most."""
    dull = set(DULL.split())
    words = [word for word in re.findall(r"\w{3,24}", prompt[:2000]) if word.lower() not in dull and not word.isdigit()]
    return tuple(dict.fromkeys(words))[:6] or NO_TOPIC


def pieces(text: str) -> list[str]:
    """Cut a text as tokens are: words keep the space before them, long words come in parts, marks stand alone."""
    return PIECE.findall(text)


def lines(job: str, steps: int) -> list[str]:
    """The log of a job of a kind (`image`, `video`, …): what it is at, and a progress bar from 0 to `steps` of them."""
    first, second, last = STAGES.get(job, OTHER_STAGES)
    bars = [progress(step, max(1, steps)) for step in range(max(1, steps) + 1)]
    return [f"penstock sandbox: {job}", f"{first}...", f"{second}...", *bars, f"{last}...", "Done."]


def progress(done: int, total: int, per_s: float = 6.1) -> str:
    """One line as tqdm writes it, so that clients which read progress from logs find it."""
    share = done / total
    bar = filled(share)
    if not done:
        return f"{0:3d}%|{bar}| 0/{total} [00:00<?, ?it/s]"
    gone, left = clock(done / per_s), clock((total - done) / per_s)
    return f"{share * 100:3.0f}%|{bar}| {done}/{total} [{gone}<{left}, {per_s:4.1f}it/s]"


def filled(share: float) -> str:
    whole, eighths = divmod(int(share * BAR_WIDTH * len(PARTS)), len(PARTS))
    if whole == BAR_WIDTH:
        return "█" * BAR_WIDTH
    return "█" * whole + PARTS[eighths] + " " * (BAR_WIDTH - whole - 1)


def clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"
