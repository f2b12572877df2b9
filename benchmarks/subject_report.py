"""How long one subject's report takes to draw, and how large it is.

    bids_spectsynth-phantom data -n 5 --size paper --ictal study --seed 301
    bids_spectsynth data out participant --participant-label 01 02 03 --voxel-size 1 --base-filters 8 --epochs 1 \\
        --split 1 1 1 --inputs T1w pet --inputs T1w --inputs pet --include-flagged
    python benchmarks/subject_report.py out 01

The page is drawn several times by each of several new processes, whose first page pays for what is loaded when first
used. Prints one JSON object; how it opens in a browser is told by ``report_viewer.py --page out/sub-01.html``.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bids_spectsynth.bids.output_files import subject_page
from bids_spectsynth.reports.subject.page import subject_report


def drawn(output_dir: Path, label: str, pages: int) -> list[float]:
    """Seconds of each page in this process."""
    seconds = []
    for _ in range(pages):
        begin = time.perf_counter()
        subject_report(output_dir, label)
        seconds.append(time.perf_counter() - begin)
    return seconds


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output_dir", type=Path)
    parser.add_argument("label", help="participant, without sub-")
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--pages", type=int, default=3, help="in each process")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        print(json.dumps(drawn(args.output_dir, args.label, args.pages)))
        return
    command = [sys.executable, __file__, str(args.output_dir), args.label, "--pages", str(args.pages), "--inside"]
    runs = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(args.processes)
    ]
    page = subject_page(args.output_dir, args.label)
    result = {
        "first_s": [round(run[0], 2) for run in runs],
        "further_s": round(statistics.median(one for run in runs for one in run[1:]), 2),
        "page_mb": round(page.stat().st_size / 1e6, 2),
        "pictures": len(list(page.with_suffix("").glob("**/figures/*"))),
        "load": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
