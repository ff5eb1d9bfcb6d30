"""A predictor with a large output: the same bytes for the same size, their sha256 in the log."""

import hashlib
import tempfile

from cog import BasePredictor, Input, Path


class Predictor(BasePredictor):
    def predict(self, megabytes: int = Input(description="Size in MiB", default=50, ge=1, le=500)) -> Path:
        file = Path(tempfile.mkdtemp()) / "big.bin"
        digest = hashlib.sha256()
        with open(str(file), "wb") as out:
            for number in range(megabytes):
                chunk = hashlib.sha256(number.to_bytes(4, "big")).digest() * 32768
                digest.update(chunk)
                out.write(chunk)
        print(f"sha256 {digest.hexdigest()}", flush=True)
        return file
