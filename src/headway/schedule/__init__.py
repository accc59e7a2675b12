"""When and where jobs run: order, placement on GPUs, and the floor that no number of GPUs gets below.

Owns jobs, lanes and the makespan. Hours come from `estimate/`, money from `cost/`; starting jobs is `engines/`.
"""
