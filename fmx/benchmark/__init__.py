"""What a machine makes of the networks: times, and how near they come to what it can do."""
