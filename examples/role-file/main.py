"""Acts only while its pod leads, by the role file of `election-operator follow`.

main.py FILE
"""

import json
import signal
import sys
import time

# What an act takes at most. A claim that ends sooner is not enough for it.
LONGEST_ACT_NS = 1_000_000_000


def leading_term(file):
    """The term of this pod if it leads for long enough, else None.

    The file is read anew each time, because only its last version counts. The clock decides, not the
    file: nothing may write it any more. All containers of a node share this clock, and it goes on
    while the machine sleeps.
    """
    try:
        with open(file) as opened:
            role = json.load(opened)
    except (OSError, ValueError):
        return None
    if not role["self"]:
        return None
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return role["term"] if now + LONGEST_ACT_NS < role["until_boottime_ns"] else None


def act(term):
    """Where your work goes. Send the term along: a receiver can refuse a lower one."""
    print(f"acted in term {term}", flush=True)


def main(file):
    acted = False
    while True:
        term = leading_term(file)  # Before each act, not once.
        if term is not None:
            act(term)
        elif acted:
            print("acts no longer", flush=True)
        acted = term is not None
        time.sleep(1)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("main.py FILE")
    # Process 1 of a container ends at SIGTERM only if it says so.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    main(sys.argv[1])
