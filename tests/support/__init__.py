"""What several test files need: small networks, tasks, netx files, a browser."""
