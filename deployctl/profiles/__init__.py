"""Profiles: the operator's YAML for one kind of machine, from text to checked values. Pure.

``source`` reads text, ``resolve`` joins files and settings, ``schema`` says what is allowed.
"""
