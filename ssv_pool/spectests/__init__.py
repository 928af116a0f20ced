"""Runs the SSV specification's JSON tests against this package (PROTOCOL 6).

A module of this package registers a function for each of the specification's test types (``registry``); ``run`` finds
the files, gives each to its function and counts. The files are GPL test data, published beside the specification, and
never part of this repository.
"""
