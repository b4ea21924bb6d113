"""The built-in tool server: filesystem, process, network and git calls that run in an agent's sandbox, under rules."""
