"""Is the proof strong enough? `make prove-harness` runs it on the stock classes, which must fail.

rq-scheduler and RQ's worker, with runs recorded as a user would do it, get the same tests. They
have to pass the undisturbed ones, or the proof is unfair, and to violate what is promised in each
of the cases, or it is too weak. Exit 0 only then.
"""

import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

from tests.acceptance.proof.checks import Violated
from tests.servers import BASE_DIR

CASES = {
    0: "undisturbed",
    1: "exit at any point",
    2: "SIGTERM at any point",
    3: "three schedulers without a lock",
    8: "kill -9 with the next occurrence queued",
    11: "Redis comes back empty",
    12: "replies are lost",
    17: "bad data among good schedules",
    19: "clocks change",
}


def main() -> int:
    """Run the cases on the stock classes, print a table, and return the exit code."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        environment = {"PROOF_SUBJECT": "stock", "PROOF_CASES": " ".join(map(str, CASES))}
        command = [sys.executable, "-m", "pytest", "tests/acceptance/proof", "-q", "--tb=no"]
        command += ["-n", "4", "--dist", "worksteal", f"--junitxml={report}", *sys.argv[1:]]
        subprocess.run(command, cwd=BASE_DIR, env=os.environ | environment, check=False)
        outcomes = read(report)
    strong = [show(case, outcomes[case]) for case in CASES]
    print("The proof is strong enough." if all(strong) else "The proof is too weak, or unfair.")
    return 0 if all(strong) else 1


def read(report: Path) -> dict[int, list[str]]:
    """Return how the tests of each case ended: passed, violated or broken."""
    outcomes: dict[int, list[str]] = defaultdict(list)
    for test in ElementTree.parse(report).iter("testcase"):
        for number in test.findall("properties/property[@name='case']"):
            outcomes[int(number.attrib["value"])].append(_outcome(test))
    return outcomes


def _outcome(test: ElementTree.Element) -> str:
    failure = test.find("failure")
    if failure is not None:
        return "violated" if Violated.__name__ in failure.attrib["message"] else "broken"
    return "passed" if test.find("error") is None else "broken"


def show(case: int, outcomes: list[str]) -> bool:
    """Print a line for a case; return whether stock ended as it has to."""
    good = set(outcomes) == {"passed"} if case == 0 else "violated" in outcomes
    counts = ", ".join(f"{outcomes.count(kind)} {kind}" for kind in sorted(set(outcomes)))
    verdict = "as it has to be" if good else "NOT as it has to be"
    print(f"{case:>4}  {CASES[case]:<42} {counts or 'not run':<28} {verdict}")
    return good


if __name__ == "__main__":
    sys.exit(main())
