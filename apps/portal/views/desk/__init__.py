"""The coordinators' desk: the queues of what waits and the search, then an organisation, or a need, and stepping in."""
