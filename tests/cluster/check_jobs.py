"""Fail unless the jobs of a run were as they should be: the lost one started again elsewhere, one got more memory.

usage: check_jobs.py OUTPUT_OF_SCONTROL_SHOW_JOB LOST_JOB LOST_NODE
"""

import re
import sys
from pathlib import Path

from site_profile import TOO_LITTLE


def jobs_of(text: str) -> dict[str, dict[str, str]]:
    """Fields of each job, by its id."""
    jobs = [dict(re.findall(r"(\w+)=(\S*)", job)) for job in text.split("\n\n") if job.strip()]
    return {job["JobId"]: job for job in jobs}


def main(output: str, lost: str, node: str) -> int:
    jobs = jobs_of(Path(output).read_text())
    again, wrong = jobs[lost], []
    if again["Restarts"] != "1" or again["NodeList"] == node or again["JobState"] != "COMPLETED":
        wrong.append(
            f"job {lost}: {again['JobState']}, started again {again['Restarts']} times, on {again['NodeList']}"
        )
    memory = [
        (job["JobState"], job["MinMemoryNode"])
        for job in sorted(jobs.values(), key=lambda job: int(job["JobId"]))
        if TOO_LITTLE in job.get("Comment", "")
    ]
    if [state == "COMPLETED" for state, _ in memory] != [False, True] or memory[0][1] != "60M":
        wrong.append(f"{TOO_LITTLE}: {memory}")
    print(f"job {lost} went on on {again['NodeList']}; {TOO_LITTLE}: {memory}")
    print(*wrong, sep="\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
