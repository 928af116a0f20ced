"""The Celery workers: all talk with beacon and execution nodes, and the instants at which duties begin."""
