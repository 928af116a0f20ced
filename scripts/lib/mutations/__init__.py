"""The small faults that ``mutants`` makes, and what has to notice each of them."""

from mutations.consensus import CONSENSUS
from mutations.duties import DUTIES
from mutations.edges import EDGES
from mutations.model import Mutant

MUTANTS = CONSENSUS + DUTIES + EDGES
"""All the mutants."""

__all__ = ["MUTANTS", "Mutant"]
