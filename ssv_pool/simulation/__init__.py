"""Operators of one committee in one process, on a virtual clock and network, with faults: the protocol core under test.

``run_seed`` plays one seed; ``python -m ssv_pool.simulation`` plays many. Start reading at ``simulator``.
"""

from ssv_pool.simulation.profiles import PROFILES, Profile
from ssv_pool.simulation.simulator import SeedResult, Settings, run_seed

__all__ = ["PROFILES", "Profile", "SeedResult", "Settings", "run_seed"]
