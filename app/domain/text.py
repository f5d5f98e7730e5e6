"""Text of foreign make, for people to see."""


def harmless(text: str) -> str:
    """``text`` on one line and without what acts on a terminal: controls, escapes, what turns its direction, lone surrogates. For
    names and values out of files, which errors and reports show.
    """
    return "".join(each if each.isprintable() else "�" for each in text)
