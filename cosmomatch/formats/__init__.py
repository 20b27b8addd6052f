"""How numbers, days and times are written, where Django's own choice is not ours."""
