"""Why a replication process does not get on: for good, or for now."""


class Fatal(Exception):
    """The task cannot go on until somebody changes something; the text becomes the task's LastFailureMessage."""


class Transient(Exception):
    """Something is away that will come back; the process tries again."""


class Stopped(Exception):
    """The process was told to end."""
