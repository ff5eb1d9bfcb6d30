"""A predictor that works on the caller's picture: each step mirrors and posterises one band of rows.

The outcome is exactly `ImageOps.posterize(ImageOps.mirror(picture), 4)`, so a test can prove that the output came from
its own input. Runs on both generations of Cog.
"""

import tempfile
import time

from cog import BasePredictor, Input, Path
from PIL import Image, ImageOps

try:
    from cog import CancelationException
except ImportError:  # the Python server keeps it elsewhere
    from cog.server.exceptions import CancelationException


class Predictor(BasePredictor):
    def setup(self) -> None:
        print("brushes are ready", flush=True)

    def predict(
        self,
        image: Path = Input(description="Picture to work on"),  # noqa: B008
        steps: int = Input(description="Bands, one a step", default=8, ge=1, le=100),
        delay_s: float = Input(description="Pause after each step, in seconds", default=0.25, ge=0, le=10),
        fmt: str = Input(description="File type of the output", default="png", choices=["png", "webp"]),
    ) -> Path:
        picture = Image.open(str(image)).convert("RGB")
        try:
            for step in range(1, steps + 1):
                work_on_band(picture, step, steps)
                print(f"{100 * step // steps:3d}%|{'#' * (10 * step // steps):<10}| {step}/{steps}", flush=True)
                time.sleep(delay_s)
        except CancelationException:
            print("canceled: the brushes are put away", flush=True)
            raise
        file = Path(tempfile.mkdtemp()) / f"picture.{fmt}"
        picture.save(str(file), lossless=True)
        return file


def work_on_band(picture: Image.Image, step: int, steps: int) -> None:
    """Bands cover the height without gap or overlap; with more steps than rows some are empty."""
    top, bottom = (picture.height * edge // steps for edge in (step - 1, step))
    if bottom > top:
        band = picture.crop((0, top, picture.width, bottom))
        picture.paste(ImageOps.posterize(ImageOps.mirror(band), 4), (0, top))
