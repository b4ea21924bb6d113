"""How agents reach hosts: a proxy on the sandbox's own descriptor that decides every connection by name, port and program.

Not wired into a running sandbox yet: the rows of its decisions and the rules of policies come with the rest of it.
"""
