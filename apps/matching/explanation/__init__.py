"""Why somebody was asked, why nobody was, and what would help: in numbers first, then in words for both sides."""
