"""Running a study: from an objective and its options to finished trials on disk.

No notebook is needed here, and none is known: the runner blocks, a thread wraps
it, a handle steers it, and whoever wants to watch reads the database.
"""
