"""``verify``: named checks of a running stack, by subject. The list is in ``registry``.

A check is asked with everything that is known of the stack and says what it saw. It talks to the
stack through the ports it is given, changes nothing that stays, and cannot pass by default.
"""
