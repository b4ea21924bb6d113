"""The gated reviewer: a model that is asked once about a request before a person has decided, within narrow bounds.

``limits`` are the bounds, ``prompting`` what it is told, ``answers`` how it may answer, ``opening`` and ``closing`` the
rows before and after, ``asking`` the call on the engine's loop. The person may always be first.
"""
