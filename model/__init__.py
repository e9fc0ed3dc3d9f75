"""The language model: what a message is made of, the network, n-grams, and how well they predict."""
