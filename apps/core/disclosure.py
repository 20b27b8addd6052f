"""What may be published about what organisations have and ask for. Pure."""

from typing import Final

# The fewest organisations behind a published figure. With two, each could subtract its own part and know the other's.
LEAST_ORGANISATIONS: Final = 3
