"""What a study looks like: the live panel, the static bundle, the line of text.

A view knows only snapshots. They come from ``storage.reader``, and go through
``figures`` (pure data) and ``svg``, ``parts`` and ``style`` (one look for all) into
``report`` (the static page), ``widgets`` (the live tree) or ``textbar`` (a
terminal). ``panel`` decides which of these a place gets, ``poller`` keeps it up to
date, and ``subshell`` lets its buttons work while a cell runs.
"""
