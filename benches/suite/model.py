"""The part `model`: pages that a slow model is asked about. The slots wait, the machine does not: how near is the whole to the ideal?"""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

from ways import Bench, Job

SERVER = Path(__file__).resolve().parent.parent / "model_server.py"
# (pages, slots, seconds an answer takes): in a run, and in a try.
RUN, TRY = (500, 50, 2.0), (12, 6, 0.5)


class Model:
    """Measures celeriac with a stub model."""

    pieces = {"model": ["process", "worker"]}

    def __init__(self, setup):
        self.setup = setup
        self.pages, self.slots, self.latency = TRY if setup.quick else RUN

    def run(self, _, way):
        server = subprocess.Popen([sys.executable, SERVER, "--latency", str(self.latency)], stdout=subprocess.PIPE, text=True)
        try:
            address = server.stdout.readline().strip()
            # As many pages at once as there are slots: by default a document takes some of them only.
            env = {"OPENAI_BASE_URL": f"{address}/v1", "OPENAI_API_KEY": "sk-stub", "CELERIAC_DOCUMENTS_PAGE_PARALLELISM": "0"}
            job = Job(file=self.setup.inputs / "octave.pdf", pages=self.pages, slots=self.slots, analysis="openai", env=env, **self.setup.programs)
            figures = Bench(job, self.setup.scratch).run(way)
            asked = json.load(urllib.request.urlopen(f"{address}/asked", timeout=10))
        finally:
            server.kill()
            server.wait()
        return figures | asked | beside_ideal(figures["wall_s"], asked["asked"], self.slots, self.latency)

    def close(self):
        pass


def beside_ideal(wall, asked, slots, latency):
    """The ideal: every slot asks without a pause. Empty pages are not asked about, so it counts questions, not pages."""
    ideal = asked / slots * latency
    return {"ideal_s": ideal, "of_ideal": wall / ideal}


def line(figures):
    """A run in a few words."""
    return f"{figures['asked']} questions, {figures['most_at_once']} at once, in {figures['wall_s']:.1f} s; ideal {figures['ideal_s']:.1f} s: {figures['of_ideal']:.3f}"
