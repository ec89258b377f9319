"""Several worker processes as one: starts them, passes TERM, QUIT and INT on, and ends when they have all ended.

    fleet.py WORKER COMMAND [WORKER COMMAND]...

WORKER becomes NODENAME in the process's environment, COMMAND is run by bash. When one of them ends by itself the others are stopped
and the fleet fails, so that a worker that died is noticed.

`answer_as_one` is the other half, for the client: the replies of all nodes to a control command become the reply of one.
"""

import os
import signal
import subprocess
import sys


def answer_as_one(replies, nodes):
    """One reply, under the first node's name, of what all `nodes` replied: lists together without what they repeat, of objects the first
    node's values and what the others add, of everything else the first node's. Where a reply names a node it names the first.

    `None` while one of them has not answered: a client must not take half an answer for a whole one.
    """
    answers = {name: reply for answer in replies or () for name, reply in answer.items()}
    if not set(nodes) <= set(answers):
        return None
    merged = None
    for reply in (renamed(answers[name], nodes) for name in nodes):
        if isinstance(merged, list) and isinstance(reply, list):
            merged += [item for item in reply if item not in merged]
        elif isinstance(merged, dict) and isinstance(reply, dict):
            merged = {**reply, **merged}
        elif merged is None:
            merged = reply
    return [{nodes[0]: merged}]


def renamed(value, nodes):
    """The value with every node's name replaced by the first node's."""
    if isinstance(value, list):
        return [renamed(item, nodes) for item in value]
    if isinstance(value, dict):
        return {key: renamed(item, nodes) for key, item in value.items()}
    return nodes[0] if isinstance(value, str) and value in nodes else value


def main(words):
    stopping = []
    workers = {}

    def stop(signum, _frame):
        stopping.append(signum)
        for pid in list(workers):
            os.kill(pid, signum)

    for signum in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT):
        signal.signal(signum, stop)
    for name, command in zip(words[::2], words[1::2], strict=True):
        worker = subprocess.Popen(["bash", "-c", f"exec {command}"], env={**os.environ, "NODENAME": name})
        workers[worker.pid] = name
    for signum in list(stopping):  # told to stop before all had started
        stop(signum, None)
    failed = 0
    while workers:
        pid, status = os.wait()
        name = workers.pop(pid, None)
        if name is None:
            continue
        if not stopping:
            print(f"fleet: {name} ended by itself ({os.waitstatus_to_exitcode(status)}); stopping the others", file=sys.stderr)
            failed = 1
            stop(signal.SIGTERM, None)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
