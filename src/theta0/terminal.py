"""Text from anywhere, as a terminal may show it."""


def printable(text: str) -> str:
    """The text with control characters, but for the end of a line, written out as `\\\\x1b`.

    A terminal obeys them: they could move the cursor, hide a line, or write to the clipboard.
    """
    return "".join(
        letter
        if letter.isprintable() or letter == "\n"
        else letter.encode("unicode_escape", "surrogatepass").decode()
        for letter in text
    )
