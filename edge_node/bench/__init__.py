"""`andon bench edge`: what this edge can do on this machine, beside the machine's own limits."""
