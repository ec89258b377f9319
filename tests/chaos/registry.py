"""The scenarios by name, and what each says it has found."""

SCENARIOS = {}


class Found(dict):
    """The figures of a scenario, and its faults."""

    def __init__(self, **figures):
        super().__init__(figures)
        self.faults = []

    def fault_if(self, condition, words):
        if condition:
            self.faults.append(words)


def scenario(name, title, short, full):
    """Registers a scenario with the sizes of its short and its full form."""

    def register(play):
        SCENARIOS[name] = (title, short, full, play)
        return play

    return register
