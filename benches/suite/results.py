"""What was measured, a JSON file a part: each record is one measured run, `figures` of one `way` on one `piece` in one round.

A run of one part leaves the files of the others alone; an interrupted run is gone on with, where `--resume` says so.
"""

import json
import statistics
from pathlib import Path

PARTS = ("runtime", "documents", "model", "micro")


class Part:
    """The records of one part."""

    def __init__(self, name, path=None, data=None):
        self.name = name
        self.path = path
        self.data = data or {"part": name, "machine": {}, "rounds": 0, "absent": {}, "runs": []}

    @classmethod
    def load(cls, folder, name):
        """As it was left; empty where nothing was measured."""
        path = Path(folder) / f"{name}.json"
        return cls(name, path, json.loads(path.read_text()) if path.exists() else None)

    @classmethod
    def fresh(cls, folder, name):
        return cls(name, Path(folder) / f"{name}.json")

    def save(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        half = self.path.with_suffix(".json.part")
        half.write_text(json.dumps(self.data, indent=1) + "\n")
        half.replace(self.path)

    # -- while it is measured -------------------------------------------------
    def has(self, number, piece, way):
        return any((run["round"], run["piece"], run["way"]) == (number, piece, way) and "error" not in run for run in self.data["runs"])

    def measured(self, piece):
        return any(run["piece"] == piece and "figures" in run for run in self.data["runs"])

    def add(self, number, piece, way, figures=None, error=None):
        same = [run for run in self.data["runs"] if (run["round"], run["piece"], run["way"]) == (number, piece, way)]
        for run in same:
            self.data["runs"].remove(run)
        record = {"round": number, "piece": piece, "way": way}
        record |= {"error": error} if error else {"figures": figures}
        self.data["runs"].append(record)
        self.save()

    def forget(self, pieces):
        """Throws away what was measured of these pieces."""
        self.data["runs"] = [run for run in self.data["runs"] if run["piece"] not in pieces]

    def absent(self, way, why):
        """This way cannot be measured here."""
        self.data["absent"][way] = why

    # -- afterwards -----------------------------------------------------------
    @property
    def empty(self):
        return not self.data["runs"]

    def pieces(self):
        return list(dict.fromkeys(run["piece"] for run in self.data["runs"]))

    def ways(self, piece):
        return list(dict.fromkeys(run["way"] for run in self.data["runs"] if run["piece"] == piece))

    def by_round(self, piece, way, key):
        """{round: value}, of the rounds that have one."""
        runs = [run for run in self.data["runs"] if run["piece"] == piece and run["way"] == way]
        values = {run["round"]: run["figures"].get(key) for run in runs if "figures" in run}
        return {number: value for number, value in values.items() if isinstance(value, (int, float))}

    def median(self, piece, way, key):
        values = self.by_round(piece, way, key).values()
        return statistics.median(values) if values else None

    def ratio(self, piece, key, way, against, against_piece=None):
        """The median over the rounds of way's value by that of the other in the same round."""
        mine, theirs = self.by_round(piece, way, key), self.by_round(against_piece or piece, against, key)
        ratios = [mine[number] / theirs[number] for number in mine if theirs.get(number)]
        return statistics.median(ratios) if ratios else None

    def why_not(self, piece, way):
        """Why there is no value: it is absent, it failed, or it was not measured."""
        if way in self.data["absent"]:
            return f"{way} is absent: {self.data['absent'][way]}"
        errors = [run["error"] for run in self.data["runs"] if (run["piece"], run["way"]) == (piece, way) and "error" in run]
        return f"{way} failed: {errors[-1]}" if errors else "not measured"
