"""Stand-ins for the programs of SLURM and SGE: a job is a process of its own on this machine.

The programs are links to this file; which of them it is, its name says. ``FAKE_SCHEDULER`` is the folder of the jobs:
one file each, with the process and the words of the submission; ``words`` lists all that was called.
"""

import os
import pathlib
import subprocess
import sys

JOBS = pathlib.Path(os.environ["FAKE_SCHEDULER"])


def submit(script: str, output: str) -> int:
    """Start a job and return its number; one whose script is named by ``FAKE_DIES`` ends before it has begun."""
    dies = os.environ.get("FAKE_DIES")
    number = 1
    while True:
        try:
            (JOBS / str(number)).touch(exist_ok=False)
            break
        except FileExistsError:
            number += 1
    with pathlib.Path(output.replace("%j", str(number))).open("w") as log:
        words = ["false"] if dies and dies in script else ["bash", script]
        job = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
    (JOBS / str(number)).write_text(str(job.pid))
    return number


def runs(number: str) -> bool:
    """Whether a job is still running; one that has ended may wait for a parent that is gone."""
    try:
        text = pathlib.Path(f"/proc/{(JOBS / number).read_text()}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


def all_jobs() -> list[str]:
    """Numbers of all jobs that were submitted."""
    return sorted((path.name for path in JOBS.iterdir() if path.name.isdecimal()), key=int)


def main() -> int:
    """Do what the program of this name does."""
    name, words = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
    with (JOBS / "words").open("a") as log:
        log.write(" ".join([name, *words]) + "\n")
    if name == "sbatch":
        print("Submitted batch job", submit(words[-1], words[words.index("-o") + 1]))
    elif name == "squeue":
        number = words[words.index("-j") + 1]
        if not runs(number) and int(number) % 2:  # forgotten soon after its end
            print("slurm_load_jobs error: Invalid job id specified", file=sys.stderr)
            return 1
        print("JOBID PARTITION NAME USER ST TIME NODES NODELIST(REASON)")
        if runs(number):
            print(number, "short step user R 0:01 1 node01")
    elif name == "sacct":
        print("\n".join(f"{number}|{'RUNNING' if runs(number) else 'COMPLETED'}" for number in all_jobs()))
    elif name == "qsub":
        number = submit(words[-1], words[words.index("-o") + 1] + "/sge-%j.out")
        print(f'Your job {number} ("step") has been submitted')
    elif name == "qstat":
        states = [("running" if runs(number) else "zombie", number) for number in all_jobs()]
        lists = "".join(
            f'<job_list state="{state}"><JB_job_number>{number}</JB_job_number></job_list>' for state, number in states
        )
        print(f"<?xml version='1.0'?><job_info><queue_info>{lists}</queue_info></job_info>")
    elif name in ("scancel", "qdel"):
        for number in words:
            os.killpg(int((JOBS / number).read_text()), 9)
    return 0


if __name__ == "__main__":
    sys.exit(main())
