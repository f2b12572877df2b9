"""A viewer of volumes inside a report: linked planes without a server or WebGL, and with WebGL the volume too."""
