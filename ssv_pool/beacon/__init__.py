"""The own beacon nodes: the Beacon API client, and what is planned and done with it."""
