"""A predictor with several outputs: PNG files of one colour, each ten pixels wider than the one before."""

import tempfile

from cog import BasePredictor, Input, Path
from PIL import Image


class Predictor(BasePredictor):
    def predict(
        self,
        count: int = Input(description="How many files", default=3, ge=1, le=20),
        colour: str = Input(description="A colour name or #rrggbb", default="teal"),
    ) -> list[Path]:
        folder = Path(tempfile.mkdtemp())
        files = [folder / f"tile-{number}.png" for number in range(1, count + 1)]
        for number, file in enumerate(files, start=1):
            Image.new("RGB", (10 * number, 10), colour).save(str(file))
        return files
