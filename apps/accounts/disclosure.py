"""What may be told of what organisations have and ask for. Pure."""

from typing import Final

# A figure that fewer organisations stand behind tells what one of them has, or asked for.
LEAST_ORGANISATIONS: Final = 3
