"""Over the network: who may call, what a request may be, and how long it may take."""
