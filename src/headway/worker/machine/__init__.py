"""Which machine this is: host, device, what it has left and what others take of it."""
