"""write_numbers.py FOLDER [WORKLOAD...]: the first parameters and four batches of each workload, as FOLDER/WORKLOAD/NAME.npy.

Every peer starts from these numbers, so that their losses can be compared. gpt2-124m's take half a gigabyte.
"""
import os
import sys

import numpy as np
from workloads import WORKLOADS, numbers


def write(folder, workload):
    where = os.path.join(folder, workload)
    os.makedirs(where, exist_ok=True)
    for name, array in numbers(workload):
        np.save(os.path.join(where, name + ".npy"), array)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: write_numbers.py FOLDER [WORKLOAD...]")
    for each in sys.argv[2:] or WORKLOADS:
        if each not in WORKLOADS:
            sys.exit(f"write_numbers.py: {each}: unsupported")
        write(sys.argv[1], each)
