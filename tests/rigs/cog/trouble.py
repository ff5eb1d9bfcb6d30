"""A predictor that goes wrong as asked: a slow or failing setup (by environment), a prediction that raises or dies."""

import os
import time

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def setup(self) -> None:
        print("loading", flush=True)
        time.sleep(float(os.environ.get("TROUBLE_SETUP_S", "0")))
        if os.environ.get("TROUBLE_SETUP_FAILS"):
            raise RuntimeError("no weights here")

    def predict(
        self,
        how: str = Input(description="An exception, or the process ends", default="raise", choices=["raise", "exit"]),
        words: str = Input(description="Words of the exception", default="out of paint"),
    ) -> str:
        print("about to fail", flush=True)
        if how == "exit":
            os._exit(3)
        raise ValueError(words)
