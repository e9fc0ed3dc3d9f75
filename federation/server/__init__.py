"""The round server: real phones in federated rounds over HTTP. `docs/round-server.md` describes it."""
