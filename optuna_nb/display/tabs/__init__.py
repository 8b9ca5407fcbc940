"""The tabs of the live panel: one file each, a function from a snapshot to HTML.

A tab is computed only while it is open. What a tab needs beyond the snapshot it
asks of the reader, and what the person chose in it stands in a ``Choices``,
which is plain text from the page: checked here, escaped where it is shown.
"""
