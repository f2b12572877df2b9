"""A viewer of volumes inside a report: linked planes on a canvas, without a server, a library or WebGL."""
