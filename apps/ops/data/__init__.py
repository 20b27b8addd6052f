"""What operators do to the data of a whole site: check it, copy it for a test system, put it back from a backup."""
