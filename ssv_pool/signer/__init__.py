"""Share keys and slashing protection: the only place that makes validator signatures."""
